#!/usr/bin/env bash
# What the programs are made of: the licences of all that is linked, known
# vulnerabilities that can be reached, two builds that have to be the same, and bills
# of materials.
#
# usage: scripts/supply.sh TOOLS licences|vulnerabilities|reproducible|sbom
#
# TOOLS is the folder with go-licenses, govulncheck and cyclonedx-gomod.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath "${1:?usage: scripts/supply.sh TOOLS licences|vulnerabilities|reproducible|sbom}")
step=${2:?usage: scripts/supply.sh TOOLS licences|vulnerabilities|reproducible|sbom}
go=${GO:-go}
programs=(./cmd/live777 ./cmd/liveman)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Licences that ask for no more than their text beside a binary.
allowed=MIT,BSD-2-Clause,BSD-3-Clause,Apache-2.0,ISC,MPL-2.0
# Its maker offers it under EPL-2.0 or EDL-1.0, which is BSD-3-Clause. The tool sees the
# first one alone.
dual=github.com/eclipse/paho.mqtt.golang

licences() {
  if "$tools/go-licenses" check --allowed_licenses="$allowed" --ignore="$dual" "${programs[@]}" 2>"$work/log"; then return; fi
  grep -v 'contains non-Go code\|\.s$' "$work/log" >&2
  echo "a licence is not one of $allowed: leave that module out, or see whether its licence may be added here" >&2
  return 1
}

# Where the database of vulnerabilities cannot be reached, that is said, and no more:
# it is the one thing here that needs the network.
vulnerabilities() {
  if "$tools/govulncheck" "${programs[@]}" >"$work/log" 2>&1; then return; fi
  if grep -q 'fetching vulnerabilities' "$work/log"; then
    echo "the database of vulnerabilities cannot be reached: they were not looked for" >&2
    return
  fi
  cat "$work/log" >&2
  return 1
}

# Two copies of the sources, in folders with other names, make the same programs.
reproducible() {
  local copy
  for copy in one another; do
    mkdir -p "$work/$copy"
    tar -c --exclude=node_modules --exclude=./.git --exclude=./.cache --exclude=./bin . | tar -x -C "$work/$copy"
    make -s -C "$work/$copy" build GO="$go"
  done
  cmp "$work/one/bin/live777" "$work/another/bin/live777"
  cmp "$work/one/bin/liveman" "$work/another/bin/liveman"
}

sbom() {
  local program
  for program in live777 liveman; do
    "$tools/cyclonedx-gomod" bin -json -output "bin/$program.cdx.json" "bin/$program"
    echo "bin/$program.cdx.json"
  done
}

case $step in
  licences | vulnerabilities | reproducible | sbom) "$step" ;;
  *)
    echo "supply.sh: unknown step $step" >&2
    exit 2
    ;;
esac
