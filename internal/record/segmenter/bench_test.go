package segmenter

import (
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// nowhere is an Output that keeps nothing.
type nowhere struct{ segments int }

func (*nowhere) Init(string, []byte) error            { return nil }
func (n *nowhere) Create(string) (File, error)        { return n, nil }
func (*nowhere) Chunk(media.Chunk)                    {}
func (n *nowhere) Closed(media.Segment, []fmp4.Table) { n.segments++ }
func (*nowhere) Discard(string)                       {}
func (*nowhere) Write(p []byte) (int, error)          { return len(p), nil }
func (*nowhere) Sync() error                          { return nil }
func (*nowhere) Close() error                         { return nil }

// BenchmarkWrite cuts pictures of 2 Mbit/s and 30 a second into segments of 2 s and
// chunks of half a second. An operation is a picture.
func BenchmarkWrite(b *testing.B) {
	out := new(nowhere)
	track := NewTrack(media.Video, 0, options, out)
	if _, err := track.Begin(videoFormat(320)); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 2_000_000/8/30)
	n := 0
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		key := n%60 == 0
		if err := track.Write(Sample{Time: media.Ticks(n * 3000), Duration: 3000, Key: key, Cut: key, Data: data}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if n > 120 && out.segments < n/60-1 {
		b.Fatalf("%d segments of %d pictures", out.segments, n)
	}
}
