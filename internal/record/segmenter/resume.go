package segmenter

import (
	"fmt"
	"io"
	"path"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/media/webm"
)

// Scan finds the whole chunks of a segment of size bytes that a crash may have cut
// off; name tells its container, and f is the track's format.
func Scan(name string, f *media.Format, r io.ReadSeeker, size int64) (media.Span, error) {
	if path.Ext(name) != webmExtension {
		return fmp4.Scan(r, size)
	}
	span, err := webm.Scan(r, size)
	step := (&webmMuxer{}).resolution(f)
	span.Start *= step
	span.End *= step
	return span, err
}

// FirstKey returns the first sample of a segment of size bytes, if that is a key frame.
func FirstKey(name string, r io.ReadSeeker, size int64) (data []byte, ok bool) {
	if path.Ext(name) == webmExtension {
		return webm.FirstKey(r, size)
	}
	return fmp4.FirstKey(r, size)
}

// State is where a track stands between two Periods: enough to go on with it in
// another process.
type State struct {
	Format   *media.Format // of the last Period; nil before the first
	Init     string        // name of its init segment
	Inits    int           // init segments written so far
	Number   int           // of the last segment
	Written  media.Ticks   // end of the last segment
	Sequence uint32        // mfhd of the last chunk
}

// Resume is NewTrack for a track that has been written to before.
func Resume(kind media.Kind, layer int, o Options, out Output, s State) (*Track, error) {
	t := NewTrack(kind, layer, o, out)
	if s.Format == nil { // it had just taken the name of its first init segment
		t.inits = s.Inits
		return t, nil
	}
	mux := t.muxer(s.Format)
	if _, err := mux.init(s.Format); err != nil {
		return nil, fmt.Errorf("resume %s track: %w", kind, err)
	}
	t.format, t.init, t.inits = s.Format, s.Init, s.Inits
	t.mux, t.step = mux, mux.resolution(s.Format)
	t.number, t.written, t.mp4.sequence = s.Number, s.Written, s.Sequence
	return t, nil
}
