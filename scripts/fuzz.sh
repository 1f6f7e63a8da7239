#!/usr/bin/env bash
# fuzz: runs every fuzz target for the given time each (default 30s).
set -euo pipefail
root=$(cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
duration=${1:-30s}
grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' pkg services | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}' | while read -r target; do
    echo "fuzz: $target in $(dirname "$file") for $duration"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "./$(dirname "$file")"
  done
done
