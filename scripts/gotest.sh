#!/usr/bin/env bash
# Runs `go test -v`, keeps the whole output in .cache/test/NAME.log and shows
# what one wants to read: a line per package, everything of a package that
# failed, and last what each failed test said, a line each. With CI=true a skipped test is a failure: what was asked to run, runs.
#
# usage: scripts/gotest.sh NAME [go test's flags and packages]
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: scripts/gotest.sh NAME [flags and packages]}
shift
log=.cache/test/$name.log
mkdir -p .cache/test

echo "== go tests: $name"
# Without vet, which scripts/static.sh runs once, and not for each suite.
status=0
"${GO:-go}" test -v -vet=off "$@" 2>&1 | tee "$log" | awk '
  # A package prints its tests and then its verdict; until that comes, hold them.
  /^ok[ \t]/               { print; fflush(); n = 0; next }
  /^FAIL[ \t]/             { show(); print; fflush(); next }
  /^\?[ \t].*no test files/ { next }
  /^(# |[^ \t]+\.go:[0-9]+:[0-9]+: )/ { print; fflush(); next } # compiler and vet
  /^=== /                  { next }
  /^ *--- PASS/            { next }
                           { held[n++] = $0 }
  function show(   i) {
    i = n > 300 ? n - 300 : 0
    if (i > 0) print "... " i " lines left out, see the log"
    for (; i < n; i++) print held[i]
    n = 0
  }
  END { if (n > 0 && !(n == 1 && held[0] ~ /^(PASS|FAIL)$/)) show() }
' || status=$?

# said prints the messages of the tests that failed, each cut to one line: the
# long ones (logs, manifests) hide the others where only an end is shown.
said() {
  awk '
    /^=== (RUN|CONT|NAME|PAUSE) / { test = $3; next }
    /^ +[^ ]+_test\.go:[0-9]+: / { said[test] = said[test] substr($0, 1, 400) "\n" }
    /^ *--- FAIL: / { printf "%s\n%s", $0, said[$3] }
    # A test binary that took too long names the tests that were running.
    /^panic: / { panics = 1 }
    panics && /^$/ { panics = 0 }
    panics { print }
  ' "$log"
}

count() { grep -cE "^ *--- $1: " "$log" || true; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIP)
echo "log: $log"
echo "$name: $passed passed, $failed failed, $skipped skipped"

if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
  echo "CI=true and these tests were skipped; each has to run or to go:" >&2
  grep -E '^ *--- SKIP: ' "$log" >&2
  exit 1
fi
if [ "$status" -eq 0 ] && [ "$passed" -eq 0 ]; then
  echo "no test ran" >&2
  exit 1
fi
if [ "$status" -ne 0 ]; then
  echo "== what failed:"
  said | tail -n 100
fi
exit "$status"
