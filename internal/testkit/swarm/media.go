package swarm

import (
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/testkit/load"
)

const (
	maxPayload = 1160 // of an RTP packet; with headers, tags and IP it fits what all networks carry

	videoType, audioType   = 96, 111 // payload types
	videoClock, audioClock = 90_000, 48_000
)

// frame is an access unit in the payloads of its RTP packets.
type frame struct {
	payloads [][]byte
	duration time.Duration
	ticks    uint32 // duration on the RTP clock
	bytes    uint32
}

// Media is what every stream sends, again and again. It is not changed after it was made.
type Media struct{ video, audio []frame }

// NewMedia puts H264 and Opus into packets.
func NewMedia(video, audio *load.Source) *Media {
	m := &Media{}
	for _, unit := range video.Units {
		m.video = append(m.video, newFrame((&codecs.H264Payloader{}).Payload(maxPayload, unit.Data), uint32(unit.Duration), videoClock))
	}
	for _, unit := range audio.Units {
		m.audio = append(m.audio, newFrame([][]byte{unit.Data}, uint32(unit.Duration), audioClock))
	}
	return m
}

func newFrame(payloads [][]byte, ticks, clock uint32) frame {
	f := frame{payloads: payloads, duration: time.Duration(ticks) * time.Second / time.Duration(clock), ticks: ticks}
	for _, p := range payloads {
		f.bytes += uint32(len(p))
	}
	return f
}
