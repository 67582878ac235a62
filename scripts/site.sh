#!/usr/bin/env bash
# The documentation as a site, in .cache/site/html: static pages with a search. It fails
# where a link leads nowhere. With "embed" it is made for the programs to have it at /docs,
# packed, in internal/serve/web/site. With "twice" it is made anew, and has to be the bytes
# that are in .cache/site/html.
#
# usage: scripts/site.sh [embed|twice]
set -euo pipefail
cd "$(dirname "$0")/.."

installed=docs/site/node_modules/.installed.json
if ! cmp -s docs/site/package-lock.json "$installed"; then
  npm --prefix docs/site ci --no-audit --no-fund --loglevel=error
  cp docs/site/package-lock.json "$installed"
fi
if [ "${1:-}" = embed ]; then export SITE_BASE=/docs/; fi
if [ "${1:-}" = twice ]; then
  rm -rf .cache/site/before .cache/site/cache
  mv .cache/site/html .cache/site/before
fi
node docs/site/pages.mjs docs/site/src
npm --prefix docs/site run --silent build
if [ "${1:-}" = embed ]; then
  to=internal/serve/web/site
  find "$to" -mindepth 1 ! -name .gitkeep -delete
  cp -r .cache/site/html/. "$to/"
  find "$to" -type f ! -name .gitkeep -exec gzip -9nf {} +
  du -sb "$to"
elif [ "${1:-}" = twice ]; then
  diff -r .cache/site/before .cache/site/html
  echo "site: two builds are the same"
else
  echo "site: .cache/site/html"
fi
