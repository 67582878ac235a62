#!/usr/bin/env bash
# A Debian unstable in a folder, for `make interop`: it has a current ffmpeg,
# GStreamer and OBS Studio. From the mirror that this machine's apt uses; needs
# root, and 2 GB of disk.
#
# Debian's OBS Studio has no WHIP, and GStreamer's Rust plugins (whipclientsink,
# whipsink) are in no Debian: who has built them puts the former's module
# obs-webrtc.so into usr/lib/x86_64-linux-gnu/obs-plugins of the folder, and the
# latter's files into usr/local/lib/gst.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.cache/interop/unstable
packages=(
  ca-certificates ffmpeg obs-studio obs-plugins xvfb xauth libgl1-mesa-dri qt6-qpa-plugins fonts-dejavu-core
  gstreamer1.0-tools gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
)

if [ "$(id -u)" -ne 0 ]; then
  echo "unstable: run it as root: debootstrap needs that" >&2
  exit 1
fi
if ! command -v debootstrap >/dev/null 2>&1; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap
fi
if [ ! -x $root/usr/bin/apt-get ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -1)
  if [ -z "$mirror" ]; then
    echo "unstable: apt knows of no Debian mirror: run apt-get update" >&2
    exit 1
  fi
  mkdir -p "${root%/*}"
  debootstrap --variant=minbase unstable $root "$mirror"
fi
# A machine whose clock is ahead of the archive takes it for expired; no service is to start.
printf 'Acquire::Check-Valid-Until "false";\n' >$root/etc/apt/apt.conf.d/90interop
printf '#!/bin/sh\nexit 101\n' >$root/usr/sbin/policy-rc.d
chmod +x $root/usr/sbin/policy-rc.d
echo force-unsafe-io >$root/etc/dpkg/dpkg.cfg.d/interop # it is made anew, should the machine fail
cp -L /etc/ssl/certs/ca-certificates.crt $root/etc/ssl/certs/ 2>/dev/null || true
chroot $root apt-get update -qq
DEBIAN_FRONTEND=noninteractive chroot $root apt-get install -y -qq --no-install-recommends "${packages[@]}"
