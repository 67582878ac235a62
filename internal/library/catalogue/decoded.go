package catalogue

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/live777/recorder/internal/media"
)

// maxDecoded is how many bytes of the details of recordings are kept decoded: those of some
// months by the hour. In memory they are a few times as many.
const maxDecoded = 8 << 20

// decoded keeps the details of recordings that were read last: decoding them is most of what
// a timeline of many recordings costs, and those that have ended do not change. Safe for
// concurrent use.
type decoded struct {
	mu         sync.Mutex
	young, old map[string]details // by record_dir; what is asked for again becomes young
	bytes      int                // of young
}

type details struct {
	text      []byte
	recording media.Recording
}

// of returns what the details of the recording in a folder say. The error is that of
// json.Unmarshal, with what could be read.
func (d *decoded) of(recordDir string, text []byte) (media.Recording, error) {
	if r, ok := d.find(recordDir, text); ok {
		return r, nil
	}
	var r media.Recording
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep(recordDir, details{bytes.Clone(text), copyOf(r)})
	return r, nil
}

func (d *decoded) find(recordDir string, text []byte) (r media.Recording, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, ok := d.young[recordDir]
	if !ok {
		if kept, ok = d.old[recordDir]; ok {
			d.keep(recordDir, kept)
		}
	}
	if !ok || !bytes.Equal(kept.text, text) {
		return r, false
	}
	return copyOf(kept.recording), true
}

// keep makes details young. Those that have not been asked for while half of all there may
// be have come are forgotten. Called with mu held.
func (d *decoded) keep(recordDir string, kept details) {
	if d.young == nil || d.bytes+len(kept.text) > maxDecoded/2 {
		d.young, d.old, d.bytes = map[string]details{}, d.young, 0
	}
	if len(kept.text) > maxDecoded/2 {
		return
	}
	d.bytes += len(kept.text) - len(d.young[recordDir].text)
	d.young[recordDir] = kept
}

// copyOf returns a copy that shares nothing that can be changed.
func copyOf(r media.Recording) media.Recording {
	r.Tracks, r.Discarded = slices.Clone(r.Tracks), slices.Clone(r.Discarded)
	for i := range r.Tracks {
		r.Tracks[i].Gaps = slices.Clone(r.Tracks[i].Gaps)
	}
	if r.PausedSince != nil {
		since := *r.PausedSince
		r.PausedSince = &since
	}
	return r
}
