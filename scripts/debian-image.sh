#!/bin/sh
# debian-image: makes a small Debian image with the given packages from the machine's own package sources and imports it into
# Docker, for machines that can reach no container registry. Usage: debian-image.sh IMAGE PACKAGE[,PACKAGE...]
set -eu
image=$1 packages=$2
if docker image inspect "$image" >/dev/null 2>&1; then
  exit 0
fi
sources=/etc/apt/sources.list.d/debian.sources
[ -f "$sources" ] || sources=/etc/apt/sources.list
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mmdebstrap --quiet --mode=root --variant=essential --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  bookworm "$tmp/image.tar" "$sources"
docker import "$tmp/image.tar" "$image" >/dev/null
