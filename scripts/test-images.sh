#!/bin/sh
# test-images: builds the images that tests with containers use, where they are absent: a Redis and, for building the suite's
# own image, one with Go. Needs a Docker engine and mmdebstrap; reaches no container registry.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
export DOCKER_BUILDKIT=0

if ! docker image inspect narrowcast-test/redis:7 >/dev/null 2>&1; then
  scripts/debian-image.sh narrowcast-debian-redis:bookworm redis-server
  docker build --quiet -t narrowcast-test/redis:7 deploy/image/redis >/dev/null
fi

if ! docker image inspect narrowcast-test/go:1.26 >/dev/null 2>&1; then
  scripts/debian-image.sh narrowcast-debian-base:bookworm ca-certificates
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  tar -C "$(dirname "$(go env GOROOT)")" --transform "s,^$(basename "$(go env GOROOT)"),go," -cf "$tmp/go.tar" "$(basename "$(go env GOROOT)")"
  cp /etc/ssl/certs/ca-certificates.crt "$tmp/"
  cat >"$tmp/Dockerfile" <<'DOCKERFILE'
FROM narrowcast-debian-base:bookworm
ADD go.tar /usr/local/
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DOCKERFILE
  docker build --quiet -t narrowcast-test/go:1.26 "$tmp" >/dev/null
fi
