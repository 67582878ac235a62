#!/usr/bin/env bash
# The documentation as a site, in .cache/site/html: static pages with a search. It fails
# where a link leads nowhere. With "embed" it is made for the programs to have it at /docs,
# packed, in internal/serve/web/site.
#
# usage: scripts/site.sh [embed]
set -euo pipefail
cd "$(dirname "$0")/.."

installed=docs/site/node_modules/.installed.json
if ! cmp -s docs/site/package-lock.json "$installed"; then
  npm --prefix docs/site ci --no-audit --no-fund --loglevel=error
  cp docs/site/package-lock.json "$installed"
fi
if [ "${1:-}" = embed ]; then export SITE_BASE=/docs/; fi
node docs/site/pages.mjs docs/site/src
npm --prefix docs/site run --silent build
if [ "${1:-}" = embed ]; then
  to=internal/serve/web/site
  find "$to" -mindepth 1 ! -name .gitkeep -delete
  cp -r .cache/site/html/. "$to/"
  find "$to" -type f ! -name .gitkeep -exec gzip -9nf {} +
  du -sb "$to"
else
  echo "site: .cache/site/html"
fi
