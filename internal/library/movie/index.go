package movie

import (
	"context"
	"path"
	"sync"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// index is a sample index, read once.
type index struct {
	once     sync.Once
	segments map[int][]fmp4.Table // by number
}

// maxIndexes is how many sample indexes are kept while a file is made: those that the
// segments are in that are looked at now, and the next ones.
const maxIndexes = 2 * atOnce

// indexed returns the tables of a segment as its sample index has them. It is false if the
// index is not there, is damaged, or says something else of the segment than the manifest.
func (o *opener) indexed(ctx context.Context, p *piece, s *segment) ([]fmp4.Table, bool) {
	key := path.Join(p.dir, media.SampleIndexName(s.name, s.number))
	x := o.index(key)
	x.once.Do(func() { x.read(ctx, o, key) })
	tables, ok := x.segments[s.number]
	if !ok || len(tables) == 0 || tables[0].Time != s.time {
		return nil, false
	}
	last := &tables[len(tables)-1]
	end := last.Time
	for _, e := range last.Samples {
		end += media.Ticks(e.Duration)
	}
	return tables, end == s.end()
}

// index returns an index that may still have to be read.
func (o *opener) index(key string) *index {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.indexes[key]
	if x == nil {
		if len(o.indexes) >= maxIndexes {
			clear(o.indexes) // one that is still needed is read again
		}
		x = &index{}
		o.indexes[key] = x
	}
	return x
}

// read reads the index. One that cannot be read says nothing: the segments do.
func (x *index) read(ctx context.Context, o *opener, key string) {
	var data []byte
	ok := false
	if o.Index != nil {
		data, ok = o.Index(key)
	}
	if !ok {
		var err error
		if data, err = storage.ReadAll(ctx, o.Backend, key, fmp4.MaxIndex+1<<10); err != nil {
			return
		}
	}
	segments, err := fmp4.ReadIndex(data)
	if err != nil {
		return
	}
	x.segments = make(map[int][]fmp4.Table, len(segments))
	for _, s := range segments {
		x.segments[s.Number] = s.Tables
	}
}
