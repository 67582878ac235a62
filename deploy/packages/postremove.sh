#!/bin/sh
# After the files of @NAME@ have gone. /var/lib/@NAME@ stays, also when it is purged: it
# has recordings, or knows where they are.
set -e
if command -v systemctl >/dev/null; then
  systemctl daemon-reload >/dev/null 2>&1 || true
fi
