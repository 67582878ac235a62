package verify

import (
	"bytes"
	"fmt"
	"math/bits"
	"time"

	"github.com/at-wat/ebml-go"

	"github.com/live777/recorder/internal/media"
)

// webmTimescale is the only one that WebM players take, Hz.
const webmTimescale = 1000

// webmMagic is the ID of the EBML header, with which every WebM file begins.
var webmMagic = []byte{0x1A, 0x45, 0xDF, 0xA3}

// webmElements has the IDs that a recording may use (RFC 9559 5.1); those that
// hold other elements are true.
var webmElements = map[uint64]bool{
	0x1A45DFA3: true, 0x4286: false, 0x42F7: false, 0x42F2: false, 0x42F3: false, 0x4282: false, 0x4287: false, 0x4285: false,
	0x18538067: true,                                                // Segment
	0x1549A966: true, 0x2AD7B1: false, 0x4D80: false, 0x5741: false, // Info
	0x1654AE6B: true, 0xAE: true, 0xD7: false, 0x73C5: false, 0x83: false, 0x9C: false, 0x22B59C: false, 0x86: false, // Tracks
	0xE0: true, 0xB0: false, 0xBA: false, // Video
	0x1F43B675: true, 0xE7: false, 0xA3: false, 0xA0: true, 0xA1: false, 0x9B: false, 0xFB: false, // Cluster
}

const (
	webmSegment = 0x18538067
	webmCluster = 0x1F43B675
)

// vint reads a variable-size integer (RFC 8794 4) with its length marker, and
// tells whether all its other bits are set.
func vint(data []byte) (v uint64, n int, ones bool) {
	if len(data) == 0 || data[0] == 0 {
		return 0, 0, false
	}
	if n = bits.LeadingZeros8(data[0]) + 1; n > len(data) {
		return 0, 0, false
	}
	for _, b := range data[:n] {
		v = v<<8 | uint64(b)
	}
	return v, n, v == 1<<(7*n+1)-1
}

// checkElements checks that data is whole elements which are known, and returns
// the IDs of the outermost. Only a Segment may have an unknown size; its
// children then count as outermost.
func checkElements(data []byte) (ids []uint64, err error) {
	for len(data) > 0 {
		id, n, _ := vint(data)
		master, known := webmElements[id]
		if !known {
			return ids, fmt.Errorf("element %X is not known", id)
		}
		ids = append(ids, id)
		data = data[n:]
		size, n, unknown := vint(data)
		if n == 0 {
			return ids, fmt.Errorf("ends within the header of element %X", id)
		}
		data = data[n:]
		if unknown && id == webmSegment {
			continue
		}
		if size ^= 1 << (7 * n); size > uint64(len(data)) {
			return ids, fmt.Errorf("element %X has %d bytes, %d are left", id, size, len(data))
		}
		if master {
			if _, err := checkElements(data[:size]); err != nil {
				return ids, err
			}
		}
		data = data[size:]
	}
	return ids, nil
}

// decodeWebMInit decodes an initialization segment.
func decodeWebMInit(name string, data []byte) (*initSegment, error) {
	ids, err := checkElements(data)
	if err != nil {
		return nil, fmt.Errorf("cannot be decoded: %w", err)
	}
	if len(ids) != 4 || ids[1] != webmSegment {
		return nil, fmt.Errorf("is not an EBML header and a Segment of Info and Tracks, but %X", ids)
	}
	var d struct {
		EBML struct {
			DocType string `ebml:"EBMLDocType"`
		} `ebml:"EBML"`
		Segment struct {
			Info struct {
				TimestampScale uint64 `ebml:"TimecodeScale"`
			} `ebml:"Info"`
			Tracks struct {
				TrackEntry []struct {
					TrackNumber uint64 `ebml:"TrackNumber"`
					TrackType   uint64 `ebml:"TrackType"`
					CodecID     string `ebml:"CodecID"`
					Video       struct {
						PixelWidth  uint64 `ebml:"PixelWidth"`
						PixelHeight uint64 `ebml:"PixelHeight"`
					} `ebml:"Video"`
				} `ebml:"TrackEntry"`
			} `ebml:"Tracks"`
		} `ebml:"Segment"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(data), &d); err != nil {
		return nil, fmt.Errorf("cannot be decoded: %w", err)
	}
	if scale := time.Duration(d.Segment.Info.TimestampScale); d.EBML.DocType != "webm" || scale != time.Second/webmTimescale {
		return nil, fmt.Errorf("is a %q with a TimestampScale of %v", d.EBML.DocType, scale)
	}
	if n := len(d.Segment.Tracks.TrackEntry); n != 1 {
		return nil, fmt.Errorf("has %d tracks", n)
	}
	tr := d.Segment.Tracks.TrackEntry[0]
	if tr.TrackType != 1 || tr.CodecID != "V_VP8" {
		return nil, fmt.Errorf("has a track of type %d with codec %q", tr.TrackType, tr.CodecID)
	}
	return &initSegment{
		Init:      Init{Name: name, Codecs: "vp8", Width: int(tr.Video.PixelWidth), Height: int(tr.Video.PixelHeight)},
		timescale: webmTimescale, handler: "vide", trackID: uint32(tr.TrackNumber), check: checkVP8, webm: true,
	}, nil
}

// webmReader takes the elements of a media segment in the order of the file.
type webmReader struct {
	problem func(format string, args ...any)
	track   uint64
	unit    media.Ticks // of the track's timescale in one of WebM's

	samples  []Sample    // their durations are set by those that follow
	end      media.Ticks // of the samples before the Cluster
	first    int         // sample of the Cluster
	time     media.Ticks // of the Cluster
	block    *ebml.Block // of the open BlockGroup
	key      bool
	duration media.Ticks // 0: the block has none
}

// take implements the reading library's hook: an element comes when it has
// ended, after those in it.
func (w *webmReader) take(e *ebml.Element) {
	switch v := e.Value.(type) {
	case ebml.Block:
		if e.Type == ebml.ElementBlock {
			w.block = &v
			return
		}
		w.add(&v, v.Keyframe)
		w.duration = 0
	case uint64:
		if e.Type == ebml.ElementBlockDuration {
			w.duration = media.Ticks(v) * w.unit
		} else {
			w.time = media.Ticks(v) * w.unit
		}
	case int64: // ReferenceBlock
		w.key = false
	default:
		if e.Type == ebml.ElementBlockGroup {
			w.endGroup()
		} else {
			w.endCluster()
		}
	}
}

func (w *webmReader) endGroup() {
	if w.block == nil {
		w.problem("a BlockGroup has no Block")
		return
	}
	w.add(w.block, w.key)
	w.block, w.key = nil, true
}

// add appends a block's sample.
func (w *webmReader) add(b *ebml.Block, key bool) {
	if b.TrackNumber != w.track || b.Lacing != ebml.LacingNo || len(b.Data) != 1 || b.Invisible {
		w.problem("a block of track %d has %d frames, lacing %d, invisible %v", b.TrackNumber, len(b.Data), b.Lacing, b.Invisible)
		return
	}
	at := w.time + media.Ticks(b.Timecode)*w.unit
	if n := len(w.samples); n > w.first {
		w.samples[n-1].Duration = at - w.samples[n-1].Time
	} else if at != w.end {
		w.problem("chunk begins at %d, want %d", at, w.end)
	}
	w.samples = append(w.samples, Sample{Time: at, Key: key, Data: b.Data[0]})
}

// endCluster gives the last sample of the Cluster its duration.
func (w *webmReader) endCluster() {
	if len(w.samples) == w.first || w.duration == 0 {
		w.problem("a Cluster has no block, or its last one has no duration")
		return
	}
	last := &w.samples[len(w.samples)-1]
	last.Duration = w.duration
	w.end = last.Time + last.Duration
	w.first, w.duration = len(w.samples), 0
}

// decodeWebMSegment appends the samples of a media segment: Clusters of which
// each is a chunk.
func (r *reader) decodeWebMSegment(t *Track, in *initSegment, s Segment, data []byte) error {
	ids, err := checkElements(data)
	if err != nil {
		return fmt.Errorf("cannot be decoded: %w", err)
	}
	for _, id := range ids {
		if id != webmCluster {
			return fmt.Errorf("element %X has no place in a segment", id)
		}
	}
	w := &webmReader{
		problem: func(format string, args ...any) { r.problem(s.Name, format, args...) },
		track:   uint64(in.trackID), unit: media.Ticks(t.Timescale / webmTimescale), end: s.Time, key: true,
	}
	var d struct {
		Cluster []struct {
			Timestamp   uint64       `ebml:"Timecode"`
			SimpleBlock []ebml.Block `ebml:"SimpleBlock"`
			BlockGroup  []struct {
				Block          ebml.Block `ebml:"Block"`
				BlockDuration  uint64     `ebml:"BlockDuration"`
				ReferenceBlock int64      `ebml:"ReferenceBlock"`
			} `ebml:"BlockGroup"`
		} `ebml:"Cluster"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(data), &d, ebml.WithElementReadHooks(w.take)); err != nil {
		return fmt.Errorf("cannot be decoded: %w", err)
	}
	for _, sample := range w.samples {
		sample.Segment, sample.Period, sample.Resolution = s.Number, s.Period, w.unit
		t.Samples = append(t.Samples, sample)
	}
	return nil
}
