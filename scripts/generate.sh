#!/bin/sh
# generate: makes the Go code of the contract from the .proto files, with the pinned tools in .cache/bin.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
"$root/scripts/protodeps.sh"
PATH="$root/.cache/bin:$PATH" buf generate
