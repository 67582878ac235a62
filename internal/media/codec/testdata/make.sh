#!/bin/sh
# Makes the bitstreams of this directory. They are committed: tests do not run
# this, and other versions of the encoders give other bytes.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -v error -y -f lavfi -i "$@"; }

# 180 lines need cropping; access unit delimiters let the test find the pictures.
ff testsrc2=size=320x180:rate=10 -frames:v 12 -pix_fmt yuv420p -c:v libx264 -threads 1 \
    -profile:v baseline -x264-params aud=1:keyint=6:slices=3:crf=36 -f h264 baseline.h264
ff testsrc2=size=64x64:rate=10 -frames:v 8 -pix_fmt yuv422p10le -c:v libx264 -threads 1 \
    -profile:v high422 -x264-params aud=1:keyint=4:bframes=0:crf=40 -f h264 high422.h264

ff testsrc2=size=320x180:rate=10 -frames:v 12 -pix_fmt yuv420p -c:v libvpx-vp9 -threads 1 \
    -deadline realtime -lag-in-frames 0 -g 6 -b:v 200k -f ivf profile0.ivf
ff testsrc2=size=64x64:rate=10 -frames:v 6 -pix_fmt yuv420p10le -color_range pc -colorspace bt709 -c:v libvpx-vp9 -threads 1 \
    -deadline realtime -lag-in-frames 0 -g 6 -b:v 100k -f ivf profile2.ivf
# Alternate reference frames: superframes.
ff testsrc2=size=64x64:rate=25 -frames:v 30 -pix_fmt yuv420p -c:v libvpx-vp9 -threads 1 \
    -deadline good -cpu-used 4 -auto-alt-ref 1 -lag-in-frames 16 -g 30 -b:v 60k -f ivf altref.ivf

ff sine=duration=0.5 -ac 2 -c:a libopus -b:a 24k -frame_duration 20 -f ogg celt20.ogg
ff sine=duration=0.5 -ac 1 -c:a libopus -b:a 12k -application voip -frame_duration 60 -f ogg silk60.ogg

# Two tiles, and a key frame without being asked in the middle.
ff testsrc2=size=320x180:rate=10 -frames:v 12 -pix_fmt yuv420p -c:v libaom-av1 -threads 1 \
    -usage realtime -cpu-used 8 -lag-in-frames 0 -g 6 -b:v 150k -tiles 2x1 -f ivf main.av1.ivf
ff testsrc2=size=64x64:rate=10 -frames:v 6 -pix_fmt yuv420p10le -color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
    -c:v libaom-av1 -threads 1 -usage realtime -cpu-used 8 -lag-in-frames 0 -g 6 -b:v 100k -f ivf main10.av1.ivf
# Frames that are hidden and shown later: several frames in a temporal unit.
ff testsrc2=size=64x64:rate=25 -frames:v 24 -pix_fmt yuv420p -c:v libaom-av1 -threads 1 \
    -usage good -cpu-used 6 -lag-in-frames 19 -g 24 -b:v 60k -f ivf hidden.av1.ivf

# 180 lines need a conformance window; access unit delimiters as above.
x265="aud=1:repeat-headers=1:log-level=none:pools=1:frame-threads=1:scenecut=0:bframes=0:open-gop=0:info=0"
ff testsrc2=size=320x180:rate=10 -frames:v 12 -pix_fmt yuv420p -c:v libx265 \
    -x265-params "$x265:keyint=6:min-keyint=6:ctu=16:max-tu-size=16:qg-size=16:slices=3:crf=38" -f hevc main.h265
ff testsrc2=size=64x64:rate=10 -frames:v 8 -pix_fmt yuv422p10le -c:v libx265 \
    -x265-params "$x265:keyint=4:min-keyint=4:crf=42" -f hevc main422.h265
# Key frames that are CRA pictures but the first.
ff testsrc2=size=64x64:rate=10 -frames:v 12 -pix_fmt yuv420p -c:v libx265 \
    -x265-params "$x265:open-gop=1:keyint=4:min-keyint=4:crf=42" -f hevc cra.h265

# Other ids of parameter sets with each key frame: one encoder run each.
: > ids.h264
for id in 0 1 2 3 4 5 6 7 8 9 10 11; do
    ff testsrc2=size=64x64:rate=10 -frames:v 4 -vf "hue=h=$((id * 30))" -pix_fmt yuv420p -c:v libx264 -threads 1 \
        -profile:v baseline -x264-params aud=1:keyint=4:crf=36:sps-id=$id -bsf:v filter_units=remove_types=6 -f h264 - >> ids.h264
done
# B-frames, with others that refer to them, and the same without the depth in the VUI.
ff testsrc2=size=64x64:rate=10 -frames:v 24 -pix_fmt yuv420p -c:v libx264 -threads 1 \
    -x264-params aud=1:keyint=12:min-keyint=12:scenecut=0:crf=38:bframes=3:b-adapt=0:b-pyramid=normal:ref=4 \
    -bsf:v filter_units=remove_types=6 -f h264 pyramid.h264
ff testsrc2=size=64x64:rate=10 -frames:v 24 -pix_fmt yuv420p -c:v libx265 \
    -x265-params "aud=1:repeat-headers=1:log-level=none:pools=1:frame-threads=1:scenecut=0:open-gop=0:info=0:bframes=3:b-adapt=0:keyint=12:min-keyint=12:crf=40" \
    -f hevc pyramid.h265
# Pixels that are not square.
ff testsrc2=size=72x58:rate=10 -frames:v 2 -vf setsar=16/11 -pix_fmt yuv420p -c:v libx264 -threads 1 \
    -profile:v baseline -x264-params aud=1:crf=40 -bsf:v filter_units=remove_types=6 -f h264 sar.h264
ff testsrc2=size=72x58:rate=10 -frames:v 2 -vf setsar=16/11 -pix_fmt yuv420p -c:v libx265 \
    -x265-params "$x265:crf=40" -f hevc sar.h265
# Nothing but the first picture is an IDR: every sixth begins to refresh the picture.
ff testsrc2=size=64x64:rate=10 -frames:v 30 -pix_fmt yuv420p -c:v libx264 -threads 1 \
    -profile:v baseline -x264-params aud=1:keyint=6:intra-refresh=1:crf=36 -f h264 refresh.h264

# layers.ivf is not made here: the superframes of twelve pictures that Chromium sent with
# scalabilityMode L2T2, as a recording had them before lower layers were hidden.
