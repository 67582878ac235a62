package recording

import (
	"sync"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// The sample index says what the segments say of their samples. Who makes one file of a
// recording then needs a request for some hundred segments, and not one for each chunk.
// Nothing depends on it: what is not in it is read from the segments.

// indexes are the sample indexes of a recording that are not stored yet.
type indexes struct {
	mu     sync.Mutex
	groups map[lane]*group
}

// group is a group of a lane's segments that is not full.
type group struct {
	name  string // of the index
	index fmp4.Index
}

// add adds a segment, and returns the index of its group if that is full with it.
func (x *indexes) add(l lane, s media.Segment, tables []fmp4.Table) (full *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.groups == nil {
		x.groups = map[lane]*group{}
	}
	g := x.groups[l]
	if g == nil {
		g = &group{name: media.SampleIndexName(s.Name, s.Number)}
		x.groups[l] = g
	}
	one := fmp4.Index{}
	one.Add(fmp4.IndexedSegment{Number: s.Number, Bytes: s.Bytes, Tables: tables})
	if len(tables) > 0 && g.index.Len()+one.Len() <= fmp4.MaxIndex {
		g.index.Append(&one)
	}
	if s.Number%media.IndexGroup == 0 {
		delete(x.groups, l)
		return g
	}
	return nil
}

// rest returns the groups that are not full.
func (x *indexes) rest() (groups []*group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for l, g := range x.groups {
		groups = append(groups, g)
		delete(x.groups, l)
	}
	return groups
}

// get returns an index that is not stored yet, by its name.
func (x *indexes) get(name string) ([]byte, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, g := range x.groups {
		if g.name == name && g.index.Len() > 0 {
			return g.index.Bytes(), true
		}
	}
	return nil, false
}

// putIndex stores an index. A recording is as good without it, so that an error is only
// logged.
func (rec *Recording) putIndex(g *group) {
	if g.index.Len() == 0 {
		return
	}
	if err := rec.put(g.name, g.index.Bytes()); err != nil {
		rec.log().Warn("a sample index was not stored; the segments will be read instead", "record_dir", rec.dir, "object", g.name, "error", err)
	}
}

// putIndexes stores the indexes of the groups that are not full, when no more segments
// come.
func (rec *Recording) putIndexes() {
	rec.mu.Lock()
	broken := rec.pending.media
	rec.mu.Unlock()
	if broken {
		return // tidy may add segments
	}
	for _, g := range rec.indexes.rest() {
		rec.putIndex(g)
	}
}

// SampleIndex returns a sample index that is not stored yet, by its name.
func (rec *Recording) SampleIndex(name string) ([]byte, bool) { return rec.indexes.get(name) }
