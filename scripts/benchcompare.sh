#!/usr/bin/env bash
# Compares the micro-benchmarks of the working tree with those of another revision: how
# long an operation takes, what it allocates, and whether the difference is more than
# noise (benchstat's table, on the standard output).
#
# usage: scripts/benchcompare.sh BENCHSTAT REVISION [BENCH] [ROUNDS]
#
# The two take turns, a round each, so that what else the machine does meets both.
set -euo pipefail
cd "$(dirname "$0")/.."
benchstat=$(realpath "${1:?usage: scripts/benchcompare.sh BENCHSTAT REVISION [BENCH] [ROUNDS]}")
revision=${2:?make bench-compare BASE=revision: say with which revision to compare}
bench=${3:-.}
rounds=${4:-6}
go=${GO:-go}
# The way of a packet into a manifest. Benchmarks of other packages take minutes each.
packages=(ingest/receive ingest/live record/depacket record/arrange record/segmenter record/manifest media/codec media/fmp4)

git rev-parse --verify --quiet "$revision^{commit}" >/dev/null || {
  echo "benchcompare: there is no revision $revision" >&2
  exit 2
}
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$revision"

# binaries builds the test programs of a tree. A revision may lack a package.
binaries() {
  local tree=$1 into=$2 package
  for package in "${packages[@]}"; do
    [ -d "$tree/internal/$package" ] || continue
    "$go" -C "$tree" test -c -o "$into/${package//\//-}.test" "./internal/$package"
  done
}

# round runs the benchmarks of a tree once, each in its package's folder.
round() {
  local tree=$1 from=$2 to=$3 package program
  for package in "${packages[@]}"; do
    program=$from/${package//\//-}.test
    [ -x "$program" ] || continue
    (cd "$tree/internal/$package" && "$program" -test.run '^$' -test.bench "$bench" -test.benchmem -test.benchtime 0.3s) >>"$to"
  done
}

mkdir "$work/old" "$work/new"
binaries "$work/base" "$work/old"
binaries . "$work/new"
for n in $(seq "$rounds"); do
  echo "round $n of $rounds" >&2
  round "$work/base" "$work/old" "$work/old.txt"
  round . "$work/new" "$work/new.txt"
done
"$benchstat" "$revision=$work/old.txt" "this=$work/new.txt"
