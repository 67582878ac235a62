package movie

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"sync"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// maxIndexes is how many bytes of sample indexes are kept of one file. Others are read
// again when they are needed.
const maxIndexes = 32 << 20

// source is where sample indexes are.
type source struct {
	storage.Readable
	index func(key string) ([]byte, bool) // of what is not stored yet; may be nil
}

// read returns the content of an index, or of a summary.
func (s source) read(ctx context.Context, key string, most int64) ([]byte, error) {
	if s.index != nil {
		if data, ok := s.index(key); ok {
			return data, nil
		}
	}
	return storage.ReadAll(ctx, s.Readable, key, most)
}

// indexes has the sample indexes of a file's segments, which are read when they are needed.
// Safe for concurrent use.
type indexes struct {
	mu     sync.Mutex
	groups map[string]*group // by key
	loaded []*group          // those that are kept, in the order in which they were read
	bytes  int
}

// group is the sample index of a group of segments.
type group struct {
	key     string
	turn    chan struct{} // has a place for who reads it
	indexes *indexes

	// Of the indexes's lock.
	file  *fmp4.IndexFile // nil: it is not kept
	bytes int
	err   error // it is not there, or says nothing
}

func newIndexes() *indexes { return &indexes{groups: map[string]*group{}} }

// group returns the index that a segment of a piece is in.
func (x *indexes) group(p *piece, s *segment) *group {
	key := path.Join(p.dir, media.SampleIndexName(s.name, s.number))
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.groups[key]
	if g == nil {
		g = &group{key: key, turn: make(chan struct{}, 1), indexes: x}
		x.groups[key] = g
	}
	return g
}

// kept returns what is kept of an index; ok is false if it has to be read.
func (g *group) kept() (file *fmp4.IndexFile, ok bool, err error) {
	g.indexes.mu.Lock()
	defer g.indexes.mu.Unlock()
	return g.file, g.file != nil || g.err != nil, g.err
}

// load returns the index, which may have to be read.
func (g *group) load(ctx context.Context, from source) (*fmp4.IndexFile, error) {
	if file, ok, err := g.kept(); ok {
		return file, err
	}
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if file, ok, err := g.kept(); ok {
		return file, err // another has read it meanwhile
	}
	data, err := from.read(ctx, g.key, fmp4.MaxIndex+1<<10)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		g.keep(nil, 0, err)
		return nil, err
	case err != nil:
		return nil, err // it may be there the next time
	}
	file, err := fmp4.OpenIndex(data)
	g.keep(file, len(data), err)
	return file, err
}

// keep keeps an index that was read, and drops those that were read first where they are
// too many.
func (g *group) keep(file *fmp4.IndexFile, bytes int, err error) {
	x := g.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	if g.file, g.err = file, err; file == nil {
		return
	}
	g.bytes = bytes
	x.loaded = append(x.loaded, g)
	for x.bytes += bytes; x.bytes > maxIndexes && len(x.loaded) > 1; {
		x.loaded[0].file = nil
		x.bytes -= x.loaded[0].bytes
		x.loaded = x.loaded[1:]
	}
}

// tables returns the tables of a segment; ok is false where the index says nothing of it.
func (g *group) tables(ctx context.Context, from source, number int) (tables []fmp4.Table, ok bool) {
	file, err := g.load(ctx, from)
	if err != nil {
		return nil, false
	}
	s, ok, err := file.Segment(number)
	return s.Tables, ok && err == nil && len(s.Tables) > 0
}

// indexed returns the tables of a segment as its sample index has them. It is false if the
// index is not there, is damaged, or says something else of the segment than the manifest.
func (o *opener) indexed(ctx context.Context, p *piece, s *segment) ([]fmp4.Table, bool) {
	tables, ok := o.indexes.group(p, s).tables(ctx, o.source(), s.number)
	if !ok || tables[0].Time != s.time {
		return nil, false
	}
	return tables, endOf(tables) == s.end()
}

// endOf returns when the last sample of tables ends.
func endOf(tables []fmp4.Table) media.Ticks {
	last := &tables[len(tables)-1]
	end := last.Time
	for _, e := range last.Samples {
		end += media.Ticks(e.Duration)
	}
	return end
}

// summary returns what the summary of a track says of the segments of a piece, by their
// numbers; nil if there is none, or it is not worth a request.
func (o *opener) summary(ctx context.Context, p *piece) []fmp4.Summary {
	from := media.TicksOf(p.from, p.timescale)
	i, _ := slices.BinarySearchFunc(p.segments, from, func(s segment, at media.Ticks) int { return cmp.Compare(s.end(), at) })
	first, last := &p.segments[min(i, len(p.segments)-1)], &p.segments[len(p.segments)-1]
	if o.Check || last.indexed()-first.indexed() < media.DirectIndexes {
		return nil
	}
	data, err := o.source().read(ctx, path.Join(p.dir, media.SampleSummaryName(first.name)), fmp4.MaxSummary)
	if err != nil {
		return nil
	}
	list, err := fmp4.ReadSummaries(data)
	if err != nil {
		return nil // the indexes say the same
	}
	return list
}
