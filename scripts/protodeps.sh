#!/bin/sh
# protodeps: fills the git-ignored .cache/protodeps with the third-party .proto files that ours import.
# Sources are pinned registry artefacts (Go modules checked by the checksum database, one npm tarball
# checked by SHA-256), so no schema registry is needed and nothing third-party is committed.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
out=${PROTODEPS_DIR:-$root/.cache/protodeps}

protovalidate=v1.2.2
gax=6.17.0
gax_sha256=8c025ab2d5147be4083ab939aff3a80271e08633349bdab1acfaa323b29e560e
stamp="$protovalidate $gax 1"

if [ "$(cat "$out/.stamp" 2>/dev/null || true)" = "$stamp" ]; then
  exit 0
fi
rm -rf "$out"
mkdir -p "$out/googleapis" "$out/protovalidate/buf/validate"

module_dir() {
  (cd / && GOWORK=off GOFLAGS=-mod=mod go mod download -json "$1") |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p'
}

dir=$(module_dir "github.com/bufbuild/protovalidate@$protovalidate")
cp "$dir/proto/protovalidate/buf/validate/validate.proto" "$out/protovalidate/buf/validate/"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "google-gax@$gax" >/dev/null && mv google-gax-*.tgz gax.tgz)
echo "$gax_sha256  $tmp/gax.tgz" | sha256sum -c --quiet
tar -xzf "$tmp/gax.tgz" -C "$tmp" package/build/protos/google
# Only what is imported: the whole google/api tree does not build on its own.
for f in api/annotations api/http api/client api/field_behavior api/field_info api/resource \
  api/launch_stage rpc/code rpc/status rpc/error_details type/date; do
  mkdir -p "$out/googleapis/google/${f%/*}"
  cp "$tmp/package/build/protos/google/$f.proto" "$out/googleapis/google/$f.proto"
done
chmod -R u+w "$out"
echo "$stamp" >"$out/.stamp"
