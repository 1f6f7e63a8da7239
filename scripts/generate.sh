#!/bin/sh
# generate: makes the Go code of the contract from the .proto files, with the pinned tools in .cache/bin.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
scripts/install-tools.sh buf protoc-gen-go protoc-gen-go-grpc
scripts/protodeps.sh
PATH="$root/.cache/bin:$PATH" buf generate --template scripts/buf.gen.yaml
