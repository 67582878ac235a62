#!/bin/sh
# Before the files of @NAME@ go. dpkg says "remove" or "upgrade", rpm how many versions
# stay. An upgrade ends nothing: the program runs on until the new one is there.
set -e
case "$1" in
  remove | 0)
    if command -v systemctl >/dev/null; then
      systemctl disable --now @NAME@.service || true # it seals its recordings
    fi
    ;;
esac
