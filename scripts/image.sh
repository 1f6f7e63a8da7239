#!/bin/sh
# image: builds the container image. Usage: image.sh NAME:TAG; GO_IMAGE names the builder (default: Docker Hub's golang).
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
image=${1:-narrowcast:dev}
version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
set -- --network=host -f deploy/image/Dockerfile --build-arg "VERSION=$version" -t "$image"
if [ -n "${GO_IMAGE:-}" ]; then
  set -- "$@" --build-arg "GO_IMAGE=$GO_IMAGE"
fi
DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build "$@" .
