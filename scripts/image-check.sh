#!/usr/bin/env bash
# image-check: starts the image, waits until it is ready, resolves an audience through reflection, and stops it gracefully.
# Usage: image-check.sh IMAGE
set -euo pipefail
root=$(cd -- "$(dirname -- "$0")/.." && pwd)
image=$1
grpcurl=$root/.cache/bin/grpcurl
"$root/scripts/install-tools.sh" grpcurl

user=$(docker image inspect --format '{{.Config.User}}' "$image")
if [ "$user" != 65532:65532 ]; then
  echo "image-check: the image runs as '$user', want 65532:65532" >&2
  exit 1
fi

id=$(docker run -d --read-only --tmpfs /tmp --tmpfs /data:uid=65532,gid=65532 -p 127.0.0.1::7411 "$image" up --listen=:7411 --ops-listen= --data-dir=/data)
trap 'docker logs "$id" 2>&1 | tail -n 20; docker rm -f "$id" >/dev/null' EXIT
addr=$(docker port "$id" 7411/tcp | head -n 1)

for attempt in $(seq 60); do
  if "$grpcurl" -plaintext -max-time 2 "$addr" grpc.health.v1.Health/Check 2>/dev/null | grep -q '"SERVING"'; then
    break
  fi
  if [ "$attempt" = 60 ]; then
    echo "image-check: not ready after 60 tries" >&2
    exit 1
  fi
  sleep 1
done
answer=$("$grpcurl" -plaintext -d '{"audience": {"spec": {"regions": ["FR-NAQ"]}}}' "$addr" narrowcast.campaign.v1.AudienceService/CountAudience)
grep -q '"part": "regions"' <<<"$answer"

docker stop --time 30 "$id" >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
if [ "$code" != 0 ]; then
  echo "image-check: exit code $code after SIGTERM, want 0" >&2
  exit 1
fi
for program in profile segment persona campaign; do
  docker run --rm --entrypoint "/$program" "$image" --help >/dev/null
done
trap - EXIT
docker rm -f "$id" >/dev/null
echo "image-check: $image serves, resolves an audience and stops gracefully"
