package recording

import (
	"slices"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

// This file has what players of low latency ask of a recording that runs: its manifests
// with the chunks of its open segments, and what tells that there is more.

// liveEdge is the end of a recording that runs. The recording's mu guards it.
type liveEdge struct {
	more  chan struct{}     // is closed with the next chunk; nil: nobody waits
	texts map[string][]byte // playlists with chunks, as they are now
}

// moved tells who waits that there is more. Called with mu held.
func (e *liveEdge) moved() {
	if e.more != nil {
		close(e.more)
	}
	*e = liveEdge{}
}

// wait returns what is closed when there is more. Called with mu held.
func (e *liveEdge) wait() <-chan struct{} {
	if e.more == nil {
		e.more = make(chan struct{})
	}
	return e.more
}

// Chunk implements segmenter.Output.
func (o laneOutput) Chunk(c media.Chunk) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if rep := o.representation(o.lane, c.Number); rep != nil {
		if o.pres.Announces(rep, c) {
			o.announced = o.host.Settings().Now()
		}
		rep.AddChunk(c)
		o.reached = max(o.reached, (c.Time + c.Duration).Duration(rep.Format.Timescale))
	}
	o.edge.moved()
}

// LiveManifest returns the manifest of a name, with the chunks of the open segments, if it has come
// so far as q says, or else what is closed when there is more. Both are nil where there is
// no such manifest.
func (rec *Recording) LiveManifest(name string, q media.Reload) (data []byte, more <-chan struct{}, err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.pres.Ready() || !slices.Contains(rec.manifests(), name) {
		return nil, nil, nil
	}
	has, err := rec.pres.Has(name, q)
	if err != nil {
		return nil, nil, err
	}
	if !has {
		return nil, rec.edge.wait(), nil
	}
	key := name
	if q.Skip {
		key += " without what is old"
	}
	if data = rec.edge.texts[key]; data == nil {
		now := rec.pres
		if rec.announced.After(now.Published) {
			now.Published = rec.announced
		}
		data, _ = now.AppendLive(nil, name, q.Skip)
		if rec.edge.texts == nil {
			rec.edge.texts = map[string][]byte{}
		}
		rec.edge.texts[key] = data
	}
	return data, nil, nil
}

// Edge returns the chunks at the live edge, and what is closed when there is more; ok is
// false when nothing more comes.
func (rec *Recording) Edge() (tail manifest.Tail, more <-chan struct{}, ok bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.pres.Tail(), rec.edge.wait(), !rec.sealed
}

// Grown returns how many bytes of whole chunks the segment of a name has, and what is closed
// when there are more. open says that it is written now, or next.
func (rec *Recording) Grown(name string) (size int64, open bool, more <-chan struct{}) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.sealed || len(rec.pres.Periods) == 0 {
		return 0, false, nil
	}
	for _, set := range rec.pres.Periods[len(rec.pres.Periods)-1].Sets {
		for i := range set.Representations {
			rep := &set.Representations[i]
			if rep.Format == nil {
				continue
			}
			if next, bytes := rep.Open(); next == name {
				return bytes, true, rec.edge.wait()
			}
		}
	}
	return 0, false, nil
}
