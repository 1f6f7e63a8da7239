#!/bin/sh
# breaking: compares the contract with the one of a git revision (default: the commit before) and fails where a caller of
# the old one would break. The revision's tree has no third-party protos, so it is lent the current ones.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
ref=${1:-HEAD~1}
if ! git rev-parse --verify --quiet "$ref^{commit}" >/dev/null; then
  echo "breaking: no revision $ref (a first or shallow commit): nothing to compare with"
  exit 0
fi
if ! git cat-file -e "$ref:proto/narrowcast" 2>/dev/null; then
  echo "breaking: $ref has no contract yet: nothing to compare with"
  exit 0
fi
scripts/protodeps.sh
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive "$ref" proto buf.yaml | tar -x -C "$old"
mkdir -p "$old/.cache"
cp -R .cache/protodeps "$old/.cache/protodeps"
.cache/bin/buf breaking --against "$old"
