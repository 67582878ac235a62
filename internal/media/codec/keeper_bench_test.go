package codec

import (
	"testing"

	"github.com/live777/recorder/internal/media"
)

// BenchmarkObserve looks at a packet in the middle of a frame, as nearly all are.
func BenchmarkObserve(b *testing.B) {
	for _, bc := range []struct {
		codec   string
		payload []byte
	}{
		{"H264", append([]byte{0x7c, 0x05}, make([]byte, 1150)...)},
		{"H265", append([]byte{rtpFU << 1, 1, 0x01}, make([]byte, 1150)...)},
		{"AV1", append([]byte{0x90}, make([]byte, 1150)...)},
	} {
		b.Run(bc.codec, func(b *testing.B) {
			k := NewKeeper(media.Track{Codec: bc.codec})
			b.ReportAllocs()
			for b.Loop() {
				k.Observe(bc.payload)
			}
		})
	}
}
