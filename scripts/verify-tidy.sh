#!/bin/sh
# verify-tidy: each module must be tidy and build on its own, without the workspace, which hides missing requirements; and
# no dependency may stand in two versions.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
for module in proto pkg services; do
  (cd "$root/$module" && GOWORK=off go mod tidy -diff && GOWORK=off go build ./...)
done
versions=$(for module in proto pkg services; do
  awk '$1 == "require" && $2 != "(" {print $2, $3} /^\t[^ ]+ v/ {print $1, $2}' "$root/$module/go.mod"
done | grep -v ' v0.0.0$' | sort -u)
twice=$(echo "$versions" | awk '{print $1}' | uniq -d)
if [ -n "$twice" ]; then
  echo "verify-tidy: required in more than one version:" >&2
  for dependency in $twice; do
    echo "$versions" | grep -F "$dependency " >&2
  done
  exit 1
fi
