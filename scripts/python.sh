#!/usr/bin/env bash
# The Python programs that the end-to-end tests run as clients: a virtual
# environment in .cache/python with what internal/testkit/e2e/clients/requirements.txt
# pins. Nothing is done when that has not changed.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=internal/testkit/e2e/clients/requirements.txt
venv=.cache/python
stamp=$venv/installed

if [ -e "$stamp" ] && cmp -s "$requirements" "$stamp"; then exit 0; fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  echo "python: Python with venv is missing: install Python 3.11 or newer (Debian packages python3 python3-venv)" >&2
  exit 1
fi
echo "python: installing modules"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$requirements"
cp "$requirements" "$stamp"
