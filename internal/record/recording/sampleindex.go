package recording

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// The sample index says what the segments say of their samples. Who makes one file of a
// recording then needs a request for some hundred segments, and not one for each chunk.
// Nothing depends on it: what is not in it is read from the segments.

// indexes are the sample indexes of a recording that are not stored yet.
type indexes struct {
	mu        sync.Mutex
	groups    map[lane]*group // that are not full
	full      []*group        // that are being stored, full or the last
	summaries map[lane]*summary
}

// group is a group of a lane's segments.
type group struct {
	name  string // of the index
	index fmp4.Index
}

// summary is what a lane's segments are together, of all of its groups.
type summary struct {
	name  string
	last  int // number of the last segment
	parts fmp4.Summaries
}

// worthwhile reports whether anybody would read it (media.DirectIndexes).
func (s *summary) worthwhile() bool { return s.last > media.DirectIndexes*media.IndexGroup }

// add adds a segment, and returns the index of its group if that is full with it.
func (x *indexes) add(l lane, s media.Segment, tables []fmp4.Table) (full *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.groups == nil {
		x.groups, x.summaries = map[lane]*group{}, map[lane]*summary{}
	}
	g := x.groups[l]
	if g == nil {
		g = &group{name: media.SampleIndexName(s.Name, s.Number)}
		x.groups[l] = g
	}
	if g.index.Fit(fmp4.IndexedSegment{Number: s.Number, Bytes: s.Bytes, Tables: tables}) {
		x.sumUp(l, s, tables)
	}
	if s.Number%media.IndexGroup == 0 {
		delete(x.groups, l)
		x.full = append(x.full, g)
		return g
	}
	return nil
}

// sumUp adds a segment to the summary of its lane. Called with mu held.
func (x *indexes) sumUp(l lane, s media.Segment, tables []fmp4.Table) {
	sum := x.summaries[l]
	if sum == nil {
		sum = &summary{name: media.SampleSummaryName(s.Name)}
		x.summaries[l] = sum
	}
	if sum.parts.Fit(fmp4.Summarize(s.Number, tables)) {
		sum.last = s.Number
	}
}

// sums returns the summaries that are worth to be stored.
func (x *indexes) sums() (sums []*summary) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for l, s := range x.summaries {
		if s.worthwhile() {
			sums = append(sums, s)
		}
		delete(x.summaries, l)
	}
	return sums
}

// rest returns the groups that are not full, when no more comes. They are there until they
// are dropped: who reads a file that was made of them needs them meanwhile.
func (x *indexes) rest() (groups []*group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for l, g := range x.groups {
		groups = append(groups, g)
		delete(x.groups, l)
	}
	x.full = append(x.full, groups...)
	return groups
}

// drop forgets a group that is stored or left out.
func (x *indexes) drop(g *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.full = slices.DeleteFunc(x.full, func(o *group) bool { return o == g })
}

// get returns an index or a summary that is not stored yet, by its name.
func (x *indexes) get(name string) ([]byte, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, g := range slices.AppendSeq(slices.Clone(x.full), maps.Values(x.groups)) {
		if g.name == name && g.index.Len() > 0 {
			return g.index.Bytes(), true
		}
	}
	for _, s := range x.summaries {
		if s.name == name {
			return s.parts.Bytes(), true
		}
	}
	return nil, false
}

// putIndex stores an index.
func (rec *Recording) putIndex(g *group) {
	defer rec.indexes.drop(g)
	if g.index.Len() > 0 {
		rec.addIndex(g.name, g.index.Bytes())
	}
}

// leaveOut drops an index because too much waits to be stored.
func (rec *Recording) leaveOut(g *group) {
	rec.indexes.drop(g)
	rec.warnOfIndex(g.name, errors.New("storage is too slow: too much waits to be stored of the recording"))
}

func (rec *Recording) warnOfIndex(name string, err error) {
	rec.log().Warn("a sample index was not stored; the segments will be read instead", "record_dir", rec.dir, "object", name, "error", err)
}

// addIndex stores an index, or a summary. A recording is as good without it, so that an
// error is only logged. If there is one already, it stays: a power failure may have taken
// the segments that are recorded again now, and media is stored once.
func (rec *Recording) addIndex(name string, data []byte) {
	ctx, cancel := rec.timeout()
	defer cancel()
	if err := rec.store().Add(ctx, path.Join(rec.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
		rec.warnOfIndex(name, err)
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
	for _, s := range rec.indexes.sums() {
		rec.addIndex(s.name, s.parts.Bytes())
	}
}

// SampleIndex returns a sample index, or the summary of some, that is not stored yet, by its name.
func (rec *Recording) SampleIndex(name string) ([]byte, bool) { return rec.indexes.get(name) }
