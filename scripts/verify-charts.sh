#!/bin/sh
# verify-charts: the chart lints and templates, with its defaults, with every switch turned, and on PostgreSQL; and it refuses
# replicas that would each keep a SQLite file of their own.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
chart=deploy/helm/narrowcast
template() { .cache/bin/helm template --kube-version 1.31.0 narrowcast "$chart" "$@"; }
.cache/bin/helm lint --strict --kube-version 1.31.0 "$chart"
template >/dev/null
for values in "$chart"/ci/*-values.yaml; do
  template -f "$values" >/dev/null
done
on_postgres=$(template -f "$chart/ci/database-values.yaml")
if [ "$(printf '%s\n' "$on_postgres" | grep -c 'name: NARROWCAST_DATABASE')" -ne 4 ] ||
  printf '%s\n' "$on_postgres" | grep -qE 'allow-sqlite|PersistentVolumeClaim'; then
  echo "verify-charts: with a database every service must get it, and none a SQLite file" >&2
  exit 1
fi
if [ "$(printf '%s\n' "$on_postgres" | grep -c 'name: NARROWCAST_EXPORT_TOKEN')" -ne 1 ]; then
  echo "verify-charts: the profile service, and it alone, must get the token of exports" >&2
  exit 1
fi
if template --set services.persona.replicas=2 >/dev/null 2>&1; then
  echo "verify-charts: two replicas without a database must be refused" >&2
  exit 1
fi
if template -f "$chart/ci/database-values.yaml" --set services.segment.replicas=2 >/dev/null 2>&1; then
  echo "verify-charts: two replicas of segment must be refused" >&2
  exit 1
fi
echo "verify-charts: $chart lints and templates"
