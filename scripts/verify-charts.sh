#!/bin/sh
# verify-charts: the chart lints and templates, with its defaults and with every switch turned.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
chart=deploy/helm/narrowcast
.cache/bin/helm lint --strict --kube-version 1.31.0 "$chart"
.cache/bin/helm template --kube-version 1.31.0 narrowcast "$chart" >/dev/null
.cache/bin/helm template --kube-version 1.31.0 narrowcast "$chart" -f "$chart/ci/all-values.yaml" >/dev/null
echo "verify-charts: $chart lints and templates"
