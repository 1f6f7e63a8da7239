#!/bin/sh
# verify-generated: fails if generating again would change the committed code.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R proto/gen "$before/gen"
scripts/generate.sh
if ! diff -r "$before/gen" proto/gen >/dev/null; then
  diff -rq "$before/gen" proto/gen >&2 || true
  echo "verify-generated: generated code is not current; commit the result of 'make generate'" >&2
  exit 1
fi
