#!/bin/sh
# Like the official image: a flag or a configuration file as first argument means redis-server.
set -e
case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" != redis-server ]; then
  exec "$@"
fi
shift
conf=
case "${1:-}" in
  *.conf)
    conf=$1
    shift
    ;;
esac
# shellcheck disable=SC2086 # empty when there is no configuration file
exec redis-server $conf --bind '* -::*' --protected-mode no --daemonize no --dir /data "$@"
