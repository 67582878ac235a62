package segmenter

import (
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/media/webm"
)

// muxer makes the bytes of one container for a track. It counts what has to go
// on over segments and Periods.
type muxer interface {
	// extension is that of the segments' file names.
	extension() string
	// resolution is the unit in which the container tells time, in ticks of f.
	resolution(f *media.Format) media.Ticks
	// init returns the init segment of a format.
	init(f *media.Format) ([]byte, error)
	// add puts a sample, which lasts for d, into the open chunk.
	add(s *Sample, d media.Ticks)
	// flush appends the open chunk to dst and begins the next.
	flush(dst []byte, c chunk) []byte
	// table returns where the samples of the last chunk are in what flush has appended;
	// false where the container has no such tables.
	table() (fmp4.Table, bool)
}

// chunk is what a muxer must know of a chunk besides its samples.
type chunk struct {
	time  media.Ticks // of its first sample
	wall  time.Time   // of its first sample
	first bool        // of the segment
	key   bool        // it begins with what can be decoded by itself
}

// muxer returns the track's muxer for the container of a format.
func (t *Track) muxer(f *media.Format) muxer {
	if c, ok := codec.Lookup(f.Codec); ok && c.Container == codec.WebM {
		return &t.webm
	}
	return &t.mp4
}

// mp4Muxer makes fragmented MP4.
type mp4Muxer struct {
	kind     media.Kind
	id       uint32 // track_ID
	sequence uint32 // mfhd of the last chunk
	samples  []fmp4.Sample
	last     fmp4.Table // of the last chunk
}

func (*mp4Muxer) extension() string { return ".m4s" }

func (*mp4Muxer) resolution(*media.Format) media.Ticks { return 1 }

func (m *mp4Muxer) init(f *media.Format) ([]byte, error) { return fmp4.Init(m.id, f) }

func (m *mp4Muxer) add(s *Sample, d media.Ticks) {
	m.samples = append(m.samples, fmp4.Sample{Data: s.Data, Duration: uint32(d), Key: s.Key, Composition: int32(s.Composition)})
}

func (m *mp4Muxer) flush(dst []byte, c chunk) []byte {
	m.sequence++
	out := fmp4.Chunk{TrackID: m.id, Kind: m.kind, Sequence: m.sequence, Time: c.time, Samples: m.samples, First: c.first}
	if c.first {
		out.Capture = c.wall
	}
	before := len(dst)
	dst = out.Append(dst)
	m.last = fmp4.TableOf(&out, int64(len(dst)-before))
	clear(m.samples) // lets the payloads go
	m.samples = m.samples[:0]
	return dst
}

func (m *mp4Muxer) table() (fmp4.Table, bool) { return m.last, true }

// webmMuxer makes WebM.
type webmMuxer struct {
	step    media.Ticks // ticks of the track in one of the container's
	samples []webm.Sample
}

const webmExtension = ".webm"

func (*webmMuxer) extension() string { return webmExtension }

func (*webmMuxer) resolution(f *media.Format) media.Ticks {
	return media.Ticks(f.Timescale / webm.Timescale)
}

func (m *webmMuxer) init(f *media.Format) ([]byte, error) {
	m.step = m.resolution(f)
	return webm.Init(f)
}

func (m *webmMuxer) add(s *Sample, d media.Ticks) {
	m.samples = append(m.samples, webm.Sample{Data: s.Data, Duration: d / m.step, Key: s.Key})
}

func (m *webmMuxer) flush(dst []byte, c chunk) []byte {
	out := webm.Chunk{Time: c.time / m.step, Samples: m.samples}
	dst = out.Append(dst)
	clear(m.samples) // lets the payloads go
	m.samples = m.samples[:0]
	return dst
}

func (*webmMuxer) table() (fmp4.Table, bool) { return fmp4.Table{}, false }
