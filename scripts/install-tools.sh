#!/bin/sh
# install-tools: installs the pinned tools named as arguments (all when none is) into .cache/bin; what is there in the
# right version is skipped.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
export GOBIN="$root/.cache/bin" GOWORK=off GOFLAGS=-mod=mod
mkdir -p "$GOBIN"

install_tool() {
  name=$1 package=$2 version=$3
  if [ -x "$GOBIN/$name" ] && go version -m "$GOBIN/$name" 2>/dev/null | awk -v v="$version" '$1 == "mod" && $3 == v {found = 1} END {exit !found}'; then
    return 0
  fi
  echo "installing $name $version" >&2
  (cd / && go install "$package@$version")
}

for tool in ${*:-buf protoc-gen-go protoc-gen-go-grpc golangci-lint grpcurl helm}; do
  case $tool in
    buf) install_tool buf github.com/bufbuild/buf/cmd/buf v1.75.0 ;;
    protoc-gen-go) install_tool protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go v1.36.12 ;;
    protoc-gen-go-grpc) install_tool protoc-gen-go-grpc google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.6.2 ;;
    golangci-lint) install_tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0 ;;
    grpcurl) install_tool grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl v1.9.4 ;;
    helm) install_tool helm helm.sh/helm/v3/cmd/helm v3.22.0 ;;
    *)
      echo "install-tools: unknown tool $tool" >&2
      exit 2
      ;;
  esac
done
