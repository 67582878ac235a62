#!/usr/bin/env bash
# Everything that judges the sources without running them. All findings are
# shown before it ends with an error.
#
# usage: scripts/static.sh GOLANGCI-LINT TOOLS
#
# TOOLS are those of scripts/supply.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
lint=${1:?usage: scripts/static.sh GOLANGCI-LINT TOOLS}
tools=${2:?usage: scripts/static.sh GOLANGCI-LINT TOOLS}
go=${GO:-go}

failed=0
step() { # step NAME COMMAND...
  echo "== $1"
  shift
  "$@" || failed=1
}

formatted() {
  local files
  files=$(gofmt -s -l cmd internal)
  [ -z "$files" ] && return
  echo "not formatted; run gofmt -s -w on:"
  echo "$files"
  return 1
}

scripts_parse() {
  local file bad=0
  while read -r file; do
    bash -n "$file" || bad=1
    [ -x "$file" ] || { echo "$file is not executable"; bad=1; }
  done < <(printf '.ci/run\n'; find . -name '*.sh' -not -path '*/node_modules/*' -not -path './.cache/*')
  return "$bad"
}

step "gofmt -s" formatted
step "go vet" "$go" vet ./...
step "go mod verify" "$go" mod verify
step "golangci-lint" "$lint" run ./...
step "licences" scripts/supply.sh "$tools" licences
step "known vulnerabilities" scripts/supply.sh "$tools" vulnerabilities
step "two builds are the same" scripts/supply.sh "$tools" reproducible
step "types of the page" scripts/web.sh types
step "the site of the documentation" scripts/site.sh
step "shell scripts" scripts_parse
exit "$failed"
