#!/usr/bin/env bash
# Runs every fuzzer of the tree, one after the other.
#
# usage: scripts/fuzz.sh [TIME]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
go=${GO:-go}

found=0
while read -r dir; do
  while read -r fuzzer; do
    found=$((found + 1))
    echo "== $dir $fuzzer"
    "$go" test -run '^$' -fuzz "^$fuzzer\$" -fuzztime "$time" "$dir"
  done < <(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$dir"/*_test.go)
done < <(grep -lrE '^func Fuzz' --include='*_test.go' cmd internal | xargs -r -n 1 dirname | sort -u | sed 's,^,./,')

echo "$found fuzzers ran for $time each"
[ "$found" -gt 0 ]
