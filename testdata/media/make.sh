#!/bin/sh
# Makes the media files of this folder again, with ffmpeg 5.1 (Debian 12) with
# libx264, libx265, libaom, libvpx and libopus. The same ffmpeg makes the same bytes: one thread,
# no encoder lookahead that depends on timing, no dates and no random serials.
#
# All video has a key frame every second, no B-frames and no hidden frames, as
# WebRTC senders do it.
set -eu
cd "$(dirname "$0")"

seconds=10
common="-hide_banner -loglevel error -nostdin -y"
exact="-fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1 -threads 1"

# The picture changes in every frame, so that no two access units are alike.
picture() { echo "testsrc=size=${2:-320x180}:rate=$1:duration=$seconds,format=yuv420p"; }

# h264 NAME RATE GOP PROFILE EXTRA-X264-PARAMS [SIZE]
h264() {
	ffmpeg $common -f lavfi -i "$(picture "$2" "${6:-}")" $exact \
		-c:v libx264 -profile:v "$4" -preset medium -crf 33 \
		-x264-params "keyint=$3:min-keyint=$3:scenecut=0:bframes=0:sync-lookahead=0:threads=1:lookahead-threads=1:$5" \
		-f h264 "$1"
}

h264 h264_baseline.h264 30 30 baseline "cabac=0:ref=1"
h264 h264_slices.h264 25 25 main "slices=4:aud=1:nal-hrd=vbr:vbv-maxrate=400:vbv-bufsize=400"
h264 h264_high.h264 30000/1001 30 high "8x8dct=1"
h264 h264_small.h264 30 30 baseline "cabac=0:ref=1" 192x108

ffmpeg $common -f lavfi -i "$(picture 30)" $exact -c:v libvpx-vp9 -profile:v 0 \
	-deadline realtime -cpu-used 5 -lag-in-frames 0 -auto-alt-ref 0 -g 30 -keyint_min 30 \
	-b:v 90k -f ivf vp9.ivf
ffmpeg $common -f lavfi -i "$(picture 30 192x108)" $exact -c:v libvpx-vp9 -profile:v 0 \
	-deadline realtime -cpu-used 5 -lag-in-frames 0 -auto-alt-ref 0 -g 30 -keyint_min 30 \
	-b:v 60k -f ivf vp9_small.ivf
ffmpeg $common -f lavfi -i "$(picture 30)" $exact -c:v libvpx \
	-deadline realtime -cpu-used 5 -lag-in-frames 0 -auto-alt-ref 0 -g 30 -keyint_min 30 \
	-b:v 90k -f ivf vp8.ivf

ffmpeg $common -f lavfi -i "$(picture 30)" $exact -c:v libaom-av1 -usage realtime -cpu-used 8 \
	-lag-in-frames 0 -g 30 -keyint_min 30 -b:v 80k -f ivf av1.ivf

# h265 NAME RATE EXTRA-X265-PARAMS...
h265() {
	ffmpeg $common -f lavfi -i "$(picture "$2")" $exact -c:v libx265 -preset fast \
		-x265-params "log-level=none:info=0:pools=1:frame-threads=1:repeat-headers=1:keyint=30:min-keyint=30:scenecut=0:open-gop=0:bframes=0:ctu=16:max-tu-size=16:qg-size=16:$3" \
		-f hevc "$1"
}

h265 h265.h265 30 "crf=36"
h265 h265_slices.h265 25 "slices=4:aud=1:hrd=1:vbv-maxrate=400:vbv-bufsize=400:crf=38"

# A rising and a falling tone: no two packets are alike.
ffmpeg $common -f lavfi \
	-i "aevalsrc=0.3*sin(2*PI*(200+60*t)*t)|0.3*sin(2*PI*(1400-60*t)*t):s=48000:d=$seconds" \
	$exact -c:a libopus -b:a 64k -frame_duration 20 -application audio -f ogg opus_stereo.ogg
ffmpeg $common -f lavfi \
	-i "aevalsrc=0.3*sin(2*PI*(200+60*t)*t):s=48000:d=$seconds" \
	$exact -c:a libopus -b:a 32k -frame_duration 20 -application voip -f ogg opus_mono.ogg

# 5.1: front left, right and centre, low frequencies, side left and right.
ffmpeg $common -f lavfi \
	-i "aevalsrc=0.2*sin(2*PI*(200+60*t)*t)|0.2*sin(2*PI*(1400-60*t)*t)|0.2*sin(2*PI*(500+30*t)*t)|0.2*sin(2*PI*(60+2*t)*t)|0.2*sin(2*PI*(900+40*t)*t)|0.2*sin(2*PI*(1900-50*t)*t):s=48000:d=$seconds:c=5.1" \
	$exact -c:a libopus -mapping_family 1 -b:a 96k -vbr off -frame_duration 20 -application audio -f ogg opus_51.ogg
