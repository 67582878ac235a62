#!/usr/bin/env bash
# The documentation as a site, in .cache/site/html: static pages with a search. It fails
# where a link leads nowhere.
#
# usage: scripts/site.sh
set -euo pipefail
cd "$(dirname "$0")/.."

installed=docs/site/node_modules/.installed.json
if ! cmp -s docs/site/package-lock.json "$installed"; then
  npm --prefix docs/site ci --no-audit --no-fund --loglevel=error
  cp docs/site/package-lock.json "$installed"
fi
node docs/site/pages.mjs docs/site/src
npm --prefix docs/site run --silent build
echo "site: .cache/site/html"
