package depacket

import (
	"testing"
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// BenchmarkPush pushes packets of H264 at 2 Mbit/s and 30 frames a second, with
// a key frame every 2 s.
func BenchmarkPush(b *testing.B) {
	frame := make([]byte, 2_000_000/8/30)
	for i := range frame {
		frame[i] = byte(i) | 1
	}
	inter := append([]byte{0, 0, 0, 1, 0x41, 0xe0}, frame...)
	key := append([]byte{
		0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0b, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 1, 0x40, 0xf1, 0x42, 0xa4, 0x80,
		0, 0, 0, 1, 0x68, 0xcb, 0x80, 0xb4, 0xb2,
		0, 0, 0, 1, 0x65, 0x88, 0x80,
	}, frame...)
	var gop [][][]byte
	p := &codecs.H264Payloader{}
	for i := range 60 {
		nals := inter
		if i == 0 {
			nals = key
		}
		gop = append(gop, p.Payload(1200, nals))
	}
	c, _ := codec.Lookup("H264")
	a, err := c.NewAssembler(videoInfo)
	if err != nil {
		b.Fatal(err)
	}
	d := New(videoInfo, a, Options{})
	var results []Result
	packet := media.Packet{Arrival: epoch}
	frames, unit, index := 0, 0, 0
	b.ReportAllocs()
	for b.Loop() {
		payloads := gop[unit%len(gop)]
		packet.Payload, packet.Marker = payloads[index], index == len(payloads)-1
		results = d.Push(&packet, results[:0])
		packet.Seq++
		if index++; packet.Marker {
			if len(results) != 1 || results[0].Frame == nil {
				b.Fatalf("got %+v", results)
			}
			frames++
			index = 0
			unit++
			packet.Timestamp += 3000
			packet.Arrival = packet.Arrival.Add(time.Second / 30)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(frames, 1)), "ns/frame")
}
