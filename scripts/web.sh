#!/usr/bin/env bash
# The page in web/: install its modules, build it into internal/serve/web/dist, run
# its unit tests, look at what was built in a browser, check its types. install
# and build are left out when nothing that they depend on has changed.
#
# usage: scripts/web.sh install|build|test|browse|types
set -euo pipefail
cd "$(dirname "$0")/.."

step=${1:?usage: scripts/web.sh install|build|test|browse|types}
stamps=.cache/web
# The lock file of the modules that are there; it goes when the modules go. Times
# would not do: a copy of a tree has new ones.
installed=web/node_modules/.installed.json
built=$stamps/built

if ! command -v npm >/dev/null 2>&1; then
  if [ "$step" = build ]; then
    echo "web: npm is missing, so the page is not built; the server runs without it"
    exit 0
  fi
  echo "web: npm is missing: install Node.js 20.19 or newer, which brings it" >&2
  exit 1
fi
mkdir -p "$stamps"

install() {
  if cmp -s web/package-lock.json "$installed"; then return; fi
  echo "web: installing modules"
  npm --prefix web ci --no-audit --no-fund --loglevel=error
  cp web/package-lock.json "$installed"
}

# changed says whether a source of the page is newer than the file $1.
changed() {
  [ ! -e "$1" ] || [ -n "$(find web -name node_modules -prune -o -type f -newer "$1" -print -quit)" ]
}

build() {
  install
  if [ -e internal/serve/web/dist/index.html ] && ! changed "$built"; then return; fi
  echo "web: building the page"
  npm --prefix web run --silent build
  touch "$built"
}

case $step in
  install) install ;;
  build) build ;;
  test)
    install
    npm --prefix web run --silent test
    ;;
  browse)
    build
    npm --prefix web run --silent e2e:page -- --out "$PWD/.cache/web/page"
    ;;
  types)
    install
    npm --prefix web run --silent lint
    ;;
  *)
    echo "web.sh: unknown step $step" >&2
    exit 2
    ;;
esac
