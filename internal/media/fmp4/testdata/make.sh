#!/bin/sh
# Makes the inputs of the tests: small fragmented MP4 files of one track each, from
# generated pictures and tones. Needs ffmpeg with libx264, libx265, libaom, libvpx and libopus.
set -eu
cd "$(dirname "$0")"

moov= # more flags of the muxer
make() { # name, then ffmpeg's arguments
	name=$1
	shift
	ffmpeg -v error -y "$@" -threads 1 -map_metadata -1 -fflags +bitexact -flags +bitexact \
		-movflags +empty_moov+frag_keyframe+default_base_moof$moov "$name"
}

video="-f lavfi -i testsrc2=size=320x180:rate=30:duration=3"
tone="-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3"

# shellcheck disable=SC2086 # the inputs are several words
{
	make h264.mp4 $video -c:v libx264 -profile:v baseline -pix_fmt yuv420p -g 30 -b:v 90k -video_track_timescale 90000
	make hevc.mp4 $video -c:v libx265 -pix_fmt yuv420p -tag:v hvc1 -b:v 90k -video_track_timescale 90000 \
		-x265-params log-level=none:info=0:pools=1:frame-threads=1:bframes=0:keyint=30:min-keyint=30:open-gop=0
	moov=+delay_moov # the encoder gives no sequence header before its first frame
	make av1.mp4 $video -c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -pix_fmt yuv420p -g 30 -b:v 90k -video_track_timescale 90000
	moov=
	make vp9.mp4 $video -c:v libvpx-vp9 -pix_fmt yuv420p -g 30 -b:v 90k -video_track_timescale 90000 -auto-alt-ref 0 -lag-in-frames 0
	make opus.mp4 $tone -c:a libopus -ac 2 -b:a 48k -frame_duration 20
}
