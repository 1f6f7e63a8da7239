#!/usr/bin/env bash
# prove: runs what takes too long for every commit, and writes docs/prove/latest.md (PROVE_REPORT): when, on what machine, what ran, with which
# seeds and figures, and what did not run. Without arguments all steps run; `scripts/prove.sh kills truth` runs some.
#
#   kills     processes and databases are killed and cut off, disks are full   PROVE_KILLS (50) kills
#   foreign   a foreign transaction stays open while all write and watch       PROVE_FOREIGN (60) seconds
#   rotation  keys are rotated under load                                      PROVE_ROTATION (10) times
#   truth     every answer is compared with a naive twin's                     PROVE_TRUTH (300) seconds for each part
#   fuzz      every fuzz target                                                PROVE_FUZZ (3m) each
#
# It fails if any step does, if a step's tests were skipped, or if none ran. What the steps say is in .tmp/prove.
set -uo pipefail
root=$(cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root" || exit 1
all=(kills foreign rotation truth fuzz)
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  case " ${all[*]} " in
    *" $step "*) ;;
    *) echo "prove: no step '$step'; there are: ${all[*]}" >&2; exit 2 ;;
  esac
done
report=${PROVE_REPORT:-docs/prove/latest.md}
logs=.tmp/prove
mkdir -p "$logs" "$(dirname "$report")"
kills=${PROVE_KILLS:-50} foreign=${PROVE_FOREIGN:-60} rotation=${PROVE_ROTATION:-10} truth=${PROVE_TRUTH:-300} fuzz=${PROVE_FUZZ:-3m}

# tests PATTERN PACKAGE... runs tests anew; one that is missing, or skipped, is no proof.
tests() {
  local pattern=$1
  shift
  go test -count=1 -timeout 6h -v -run "$pattern" "$@"
}

run() {
  case $1 in
    kills) NARROWCAST_KILLS=$kills tests '^(TestKilledServicesAndDatabasesLoseNothing|TestCutConnectionsToTheDatabaseLoseNothing|TestAFullDisk.*)$' ./services/suite/e2e ;;
    foreign) NARROWCAST_FOREIGN_TRANSACTION_SECONDS=$foreign tests '^TestAForeignTransactionStallsNobody$' ./services/profile/internal/sqlstore ;;
    rotation) tests '^TestKeysAreRotatedUnderLoad$' -count="$rotation" ./services/profile/internal/sqlstore ;;
    truth) NARROWCAST_TRUTH_SECONDS=$truth tests . ./services/suite/e2e/truth ;;
    fuzz) scripts/fuzz.sh "$fuzz" ;;
  esac
}

about() {
  case $1 in
    kills) echo "$kills kills over SQLite and PostgreSQL, $kills cuts of all connections, full disks" ;;
    foreign) echo "a foreign transaction is open for $foreign s" ;;
    rotation) echo "keys are rotated under load, $rotation times" ;;
    truth) echo "answers compared with a naive twin's, $truth s for each part" ;;
    fuzz) echo "every fuzz target, $fuzz each" ;;
  esac
}

began=$(date -u +%Y-%m-%dT%H:%M:%SZ)
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- . ":!$report")" ] || commit="$commit, with changes"
failed=0
rows= details=
for step in "${steps[@]}"; do
  echo "prove: $step: $(about "$step")"
  start=$SECONDS
  if run "$step" >"$logs/$step.log" 2>&1; then result=passed; else result=FAILED; fi
  took=$((SECONDS - start))
  if [ "$step" != fuzz ]; then
    passed=$(grep -cE '^--- PASS:' "$logs/$step.log")
    skipped=$(grep -cE '^ *--- SKIP:' "$logs/$step.log")
    [ "$passed" -gt 0 ] || result='FAILED: no test ran'
    [ "$skipped" -eq 0 ] || result="FAILED: $skipped skipped"
    counted="$passed tests"
  else
    counted="$(grep -c '^fuzz: ' "$logs/$step.log") targets"
  fi
  [ "$result" = passed ] || failed=1
  echo "prove: $step: $result, $counted in $took s"
  rows+="| $step | $(about "$step") | $result | $counted | $took s |"$'\n'
  # What the tests say of themselves, and of a failed step everything but the services' own logs.
  figures='^(--- |    --- |=== NAME| +[a-z_]+_test\.go:[0-9]+: |fuzz: |ok|FAIL|PASS|panic: )'
  [ "$step" = fuzz ] && figures='^(fuzz: [A-Z]|--- |FAIL|ok)|elapsed: .*\(total: [0-9]+\)$'
  details+=$'\n'"## $step"$'\n\n```\n'"$(grep -E "$figures" "$logs/$step.log" | grep -v '"level":' | cut -c1-400 | tail -n 300)"$'\n```\n'
done
left=
for step in "${all[@]}"; do
  case " ${steps[*]} " in *" $step "*) ;; *) left="$left $step" ;; esac
done

version() { "$@" 2>/dev/null | head -n 1 || true; }
postgres=$(command -v postgres || find /usr/lib/postgresql -name postgres -path '*/bin/*' 2>/dev/null | sort -V | tail -n 1)
{
  echo "# What \`make prove\` found last"
  echo
  echo "Written by \`scripts/prove.sh ${steps[*]}\`, begun $began at commit $commit."
  echo
  echo "- machine: $(nproc) cores ($(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)), $(awk '/^MemTotal/{printf "%.0f GiB", $2 / 1048576}' /proc/meminfo) of memory, load $(cut -d' ' -f1-3 /proc/loadavg) at the end"
  echo "- $(version go version)"
  echo "- $(version "${postgres:-postgres}" --version)"
  echo "- $(version redis-server --version)"
  echo
  echo "| step | what | result | tests | took |"
  echo "| --- | --- | --- | --- | --- |"
  printf '%s' "$rows"
  echo
  [ -z "$left" ] || echo "Not run this time:$left."
  printf '%s' "$details"
} >"$report"
echo "prove: $report"
exit $failed
