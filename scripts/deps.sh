#!/usr/bin/env bash
# Makes sure that the programs which the tests run are there. Installs the
# missing ones with apt-get where that can run as root, and otherwise says
# which they are and ends with an error: a test is never skipped for want of one.
set -euo pipefail

PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps ip; not on every user's PATH
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done # on nobody's

have() { command -v "$1" >/dev/null 2>&1; }

missing=()
need() { # need PROGRAM PACKAGE...
  local program=$1 package
  shift
  have "$program" && return
  for package; do missing+=("$package"); done
}
need chromium chromium       # publishes and plays in the end-to-end tests
need pulseaudio pulseaudio   # what Firefox needs to play sound, where there is no sound card
need ffmpeg ffmpeg           # decodes what was recorded
need ffprobe ffmpeg          # in the same package
need cvlc vlc-bin vlc-plugin-base # reads recordings as one file
need rpm rpm                 # installs and checks packages of Red Hat's kind
need promtool prometheus      # evaluates the alert rules
need sqlite3 sqlite3         # reads an original's database, as docs/migrating.md says
need xmllint libxml2-utils   # validates manifests against the schema
need ip iproute2             # network namespaces, with links that lose packets
need pg_ctl postgresql       # the catalogue's other database
need cc gcc libc6-dev        # the race detector links with it
need firefox-esr firefox-esr # another browser that publishes, watches and plays
need gst-launch-1.0 gstreamer1.0-tools

# Debian's own Python has GStreamer's bindings; the clients' modules get an
# environment of their own (scripts/python.sh).
if ! /usr/bin/python3 - 2>/dev/null <<'PYTHON'; then
import gi
for name in "Gst", "GstSdp", "GstWebRTC":
    gi.require_version(name, "1.0")
from gi.repository import Gst
Gst.init(None)
for name in "webrtcbin", "nicesrc", "rtph264pay", "matroskademux", "opusparse", "avdec_h264", "dashdemux", "souphttpsrc":
    assert Gst.ElementFactory.find(name), name
PYTHON
  missing+=(python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-nice gstreamer1.0-libav)
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)

toolchain=0
if ! have go; then
  echo "Go is missing: install Go 1.26 or newer" >&2
  toolchain=1
fi
if ! have npm; then
  echo "npm is missing: install Node.js 20.19 or newer, which brings it" >&2
  toolchain=1
fi

if [ ${#missing[@]} -gt 0 ]; then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo -n); fi
  if ! have apt-get || ! "${root[@]}" true 2>/dev/null; then
    cat >&2 <<MESSAGE
The tests need these Debian packages: ${missing[*]}
Install them, then run this again:
  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}
MESSAGE
    exit 1
  fi
  echo "deps: installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
exit "$toolchain"
