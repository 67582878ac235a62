#!/usr/bin/env bash
# Runs Go's tests in suites, each named on the command line:
#
#   unit        every package but the end-to-end tests; RACE=1: under the race detector
#   e2e         the end-to-end tests, which run bin/live777, a browser and ffmpeg
#   norecorder  the build without the recorder
#
# With RACE=1 the unit suite runs without the race detector what it can show nothing
# about: packages in which nothing runs at the same time, tests that count allocations,
# and tests that simulate days. The norecorder suite has the packages that the tag changes.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

end_to_end='/e2e(/| |$)'
# Packages whose tests publish in real time, and compare to the packet what was
# recorded: a publisher that has to wait for a processor sends late.
real_time='/internal/node$'
# Packages that take longest. They begin first, so that none is left alone at the end.
longest='/internal/(manager|record/recorder|storage/s3|library/movie|ingest/whip|library/catalogue|storage/spool)$'

# packages prints all packages but the end-to-end tests; its arguments are go list's.
packages() { "$go" list "$@" ./... | grep -vE "$end_to_end"; }

# affected prints the packages whose files differ with the tag norecorder, and
# those that depend on one of them.
affected() {
  local format='{{.ImportPath}} {{.GoFiles}}{{.TestGoFiles}}{{.XTestGoFiles}}'
  local own
  # diff ends with 1 where there are differences.
  own=$({ diff <("$go" list -f "$format" ./...) <("$go" list -tags norecorder -f "$format" ./...) || true; } |
    sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u)
  [ -n "$own" ] || return 0
  packages -tags norecorder -f '{{.ImportPath}} {{.ImportPath}} {{join .Deps " "}} ' |
    grep -F -f <(sed 's/.*/ & /' <<<"$own") | cut -d' ' -f1
}

# concurrent is what a file has that starts or uses goroutines, or shares memory with them.
concurrent='(^|[^A-Za-z])go (func|[A-Za-z_.]+\()|\.Go\(|\.Parallel\(|RunParallel|<-|"sync"|"sync/atomic"|"net/http"'

# sequential prints the packages that have tests, and in which nothing runs at the same
# time, neither in the code nor in the tests. Programs start much that does.
sequential() {
  local package dir
  packages -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' | grep internal/ |
    while read -r package dir; do
      grep -qE "$concurrent" "$dir"/*.go || echo "$package"
    done
}

# onlyWithoutRace prints the file and the name of each test that the race detector's build
# leaves out or that counts allocations, which are others under it.
onlyWithoutRace() {
  {
    grep -lE '^//go:build !race$' -r --include='*_test.go' cmd internal |
      xargs -r grep -HoE '^func Test[A-Za-z0-9_]+\(t'
    grep -lE 'AllocsPerRun' -r --include='*_test.go' cmd internal |
      xargs -r awk '/^func Test/ { test = $2 } /AllocsPerRun/ { print FILENAME ":func " test }'
  } | sed -E 's/:func (Test[A-Za-z0-9_]+).*/ \1/' | sort -u
}

# withoutRace runs the sequential packages, and of the others what onlyWithoutRace names:
# what simulates days costs the race detector ten times as much, and shows it nothing that
# a minute does not.
withoutRace() {
  local file name files=() names=()
  scripts/gotest.sh sequential -timeout 10m "$@"
  while read -r file name; do
    files+=("./${file%/*}") names+=("$name")
  done < <(onlyWithoutRace | grep -vE "^($(sed 's#.*/\(cmd\|internal\)/#\1/#' < <(printf '%s\n' "$@") | paste -sd'|'))/[^/]*$")
  mapfile -t files < <(printf '%s\n' "${files[@]}" | sort -u)
  scripts/gotest.sh norace -timeout 5m -run "^($(printf '%s\n' "${names[@]}" | paste -sd'|'))\$" "${files[@]}"
}

# The race detector does not look into SQLite, which is translated C. With it the tests
# of the catalogue would take five times as long.
race=()
if [ "${RACE:-}" = 1 ]; then race=(-race '-gcflags=modernc.org/...=-race=false'); fi

for suite; do
  case $suite in
    unit)
      plain=()
      if [ ${#race[@]} -gt 0 ]; then mapfile -t plain < <(sequential); fi
      mapfile -t unit < <(packages | grep -vE "$real_time" | grep -vxF -f <(printf '%s\n' "${plain[@]}"))
      mapfile -t alone < <(packages | grep -E "$real_time")
      mapfile -t unit < <(printf '%s\n' "${unit[@]}" | grep -E "$longest"; printf '%s\n' "${unit[@]}" | grep -vE "$longest")
      # More packages at a time than processors: many tests wait.
      scripts/gotest.sh unit "${race[@]}" -timeout 20m -p 4 "${unit[@]}"
      # What runs in parallel there waits: for intervals, retries, the end of a session.
      scripts/gotest.sh realtime "${race[@]}" -timeout 20m -p 1 -parallel 6 "${alone[@]}"
      if [ ${#race[@]} -gt 0 ]; then
        # Under the race detector it has every fourth of its cases alone.
        scripts/gotest.sh fidelity -timeout 10m -run '^TestFidelity$' "${alone[@]}"
        withoutRace "${plain[@]}"
      fi
      ;;
    e2e)
      mapfile -t e2e < <("$go" list ./... | grep -E "$end_to_end")
      if [ ${#e2e[@]} -eq 0 ]; then
        echo "e2e: there is no package named e2e" >&2
        exit 1
      fi
      # Never from the cache, which does not know of bin/live777; one package at a time.
      # Most of the time they wait: for segments, outages, playback. They take 15 minutes where
      # the machine is quiet; the limit is for what hangs, not for a machine that is slow.
      scripts/gotest.sh e2e -count=1 -p 1 -parallel 4 -timeout 45m "${e2e[@]}"
      ;;
    norecorder)
      "$go" build -tags norecorder ./...
      "$go" vet -tags norecorder ./...
      mapfile -t chosen < <(affected)
      if [ ${#chosen[@]} -eq 0 ]; then
        echo "norecorder: the tag changes no package" >&2
        exit 1
      fi
      scripts/gotest.sh norecorder -tags norecorder -timeout 10m "${chosen[@]}"
      ;;
    *)
      echo "test.sh: unknown suite $suite" >&2
      exit 2
      ;;
  esac
done
