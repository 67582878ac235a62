package verifytest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"github.com/live777/recorder/internal/library/verify"
)

// msTicks is a millisecond of a 90 kHz clock.
const msTicks = 90

// roundTimes moves the samples to whole milliseconds.
func (tr *FakeTrack) roundTimes() {
	s := tr.Samples
	for i := range s {
		end := s[i].Time + s[i].Duration
		s[i].Time = (s[i].Time + msTicks/2) / msTicks * msTicks
		s[i].Duration = (end+msTicks/2)/msTicks*msTicks - s[i].Time
	}
}

func fakeWebMInit(t testing.TB) []byte {
	t.Helper()
	var d struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment struct {
			Info   webm.Info   `ebml:"Info"`
			Tracks webm.Tracks `ebml:"Tracks"`
		} `ebml:"Segment,size=unknown"`
	}
	d.Header = webm.EBMLHeader{
		EBMLVersion: 1, EBMLReadVersion: 1, EBMLMaxIDLength: 4, EBMLMaxSizeLength: 8,
		DocType: "webm", DocTypeVersion: 4, DocTypeReadVersion: 2,
	}
	d.Segment.Info = webm.Info{TimecodeScale: 1e6}
	d.Segment.Tracks.TrackEntry = []webm.TrackEntry{{
		TrackNumber: 1, TrackUID: 1, CodecID: "V_VP8", TrackType: 1, Video: &webm.Video{PixelWidth: 320, PixelHeight: 180},
	}}
	return marshal(t, &d)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ebml.Marshal(v, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type fakeGroup struct {
	Block          ebml.Block `ebml:"Block"`
	BlockDuration  uint64     `ebml:"BlockDuration"`
	ReferenceBlock []int64    `ebml:"ReferenceBlock"`
}

// EncodeWebM returns the bytes of a segment in Clusters of 15 samples.
func EncodeWebM(t testing.TB, samples []verify.Sample) []byte {
	t.Helper()
	var d struct {
		Cluster []struct {
			Timestamp   uint64       `ebml:"Timecode"`
			SimpleBlock []ebml.Block `ebml:"SimpleBlock"`
			BlockGroup  []fakeGroup  `ebml:"BlockGroup"`
		} `ebml:"Cluster"`
	}
	for chunk := range slices.Chunk(samples, 15) {
		n := len(d.Cluster)
		d.Cluster = slices.Grow(d.Cluster, 1)[:n+1]
		c := &d.Cluster[n]
		c.Timestamp = uint64(chunk[0].Time / msTicks)
		for i, s := range chunk {
			b := ebml.Block{
				TrackNumber: 1, Timecode: int16(s.Time/msTicks - chunk[0].Time/msTicks), Keyframe: s.Key, Data: [][]byte{s.Data},
			}
			if i+1 < len(chunk) {
				c.SimpleBlock = append(c.SimpleBlock, b)
				continue
			}
			g := fakeGroup{Block: b, BlockDuration: uint64(s.Duration / msTicks)}
			if !s.Key {
				g.ReferenceBlock = []int64{-33}
			}
			c.BlockGroup = []fakeGroup{g}
		}
	}
	return marshal(t, &d)
}
