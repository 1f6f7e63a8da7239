#!/usr/bin/env bash
# test: runs the tests of the modules given (all of the workspace when none is) and prints failures, one line a package,
# every skip with its reason, and the counts. Flags for `go test` come in TESTFLAGS.
set -uo pipefail

root=$(cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
mkdir -p .tmp
log=.tmp/test.log
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(work)

# The race detector need not watch SQLite's own memory: its code is C turned into Go, has locks of its own, and takes twice as long
# to run under watch. Ours is watched, the driver around it too.
unwatched=()
case " ${TESTFLAGS:-} " in
  *" -race "*) unwatched=(-gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false) ;;
esac

# shellcheck disable=SC2086 # TESTFLAGS is a list of words
go test -v -timeout 60m "${unwatched[@]}" ${TESTFLAGS:-} "${targets[@]}" >"$log" 2>&1
status=$?

if [ $status -ne 0 ]; then
  # The whole story of the packages that failed: their lines stand together in the log.
  awk '/^(ok|FAIL|\?)[[:space:]]+[^[:space:]]+\//{ if ($1 == "FAIL") printf "%s%s\n", buffer, $0; buffer = ""; next }
       { if ($0 !~ /^(=== (RUN|PAUSE|CONT|NAME)|[[:space:]]*--- PASS)/) buffer = buffer $0 "\n" }
       END { printf "%s", buffer }' "$log" | tail -n 400
fi
grep -E '^(ok|FAIL)[[:space:]]' "$log" || true
count() { grep -cE "^[[:space:]]*--- $1:" "$log" || true; }
skipped=$(count SKIP)
if [ "$skipped" -gt 0 ]; then
  echo "NOT TESTED: $skipped tests were skipped, because:"
  grep -oE '[A-Z][A-Z ]+ NOT AVAILABLE' "$log" | sort | uniq -c | sort -rn
  echo "these tests did not run, with all below them:"
  grep -E '^--- SKIP:|^    --- SKIP:' "$log" | sed -E 's/^ *--- SKIP: ([^ ]+).*/  \1/' | sort -u | head -n 60
fi
echo "$(count PASS) passed, $(count FAIL) failed, $(count SKIP) skipped"
exit $status
