#!/bin/sh
# Makes the neutral pictures of this directory: one black key frame per video
# codec. They are committed: other versions of the encoders give other bytes.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -v error -y -f lavfi -i color=black:size=320x180:rate=10 -frames:v 1 -pix_fmt yuv420p "$@"; }

# Without SEI: it says nothing but how the encoder was set.
ff -c:v libx264 -threads 1 -profile:v baseline -x264-params level=13:qp=30 \
    -bsf:v filter_units=remove_types=6 -f h264 black.h264
ff -c:v libx265 -x265-params "log-level=none:pools=1:frame-threads=1:info=0:bframes=0:ctu=16:max-tu-size=16:qp=30" \
    -bsf:v filter_units=remove_types=39-40 -f hevc black.h265
# The frame alone, without a container.
ff -c:v libvpx -threads 1 -b:v 100k -map 0 -f data black.vp8
ff -c:v libvpx-vp9 -threads 1 -b:v 100k -map 0 -f data black.vp9
ff -c:v libaom-av1 -threads 1 -cpu-used 6 -b:v 100k -map 0 -f data black.av1
