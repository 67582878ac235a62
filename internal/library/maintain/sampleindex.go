package maintain

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// maxSegment is the longest segment that is read to make a sample index, in bytes.
const maxSegment = 1 << 30

// indexes makes the sample indexes that a sealed recording does not have, and those that
// lack segments because the node had died, of its segments.
func (r *rebuild) indexes(ctx context.Context, rec media.Recording, f folder) error {
	segments := map[string][]storage.Object{} // by the index that they are in
	for _, o := range f.objects {
		if n := numberOf(o); n > 0 {
			index := media.SampleIndexName(path.Base(o.Key), n)
			segments[index] = append(segments[index], o)
		}
	}
	for name, objects := range segments {
		if f.has(name) && (rec.Recovered == 0 || r.isWhole(ctx, path.Join(f.dir, name), len(objects))) {
			continue
		}
		index, err := indexOf(ctx, r.Backend, objects)
		if err != nil && damaged(err) {
			r.problem(path.Join(f.dir, name), err.Error())
			continue
		}
		if err != nil {
			return err
		}
		if err := r.putIndex(ctx, path.Join(f.dir, name), index.Bytes()); err != nil {
			return err
		}
	}
	return r.summaries(ctx, rec, f, slices.Collect(maps.Keys(segments)))
}

// putIndex stores an index, or a summary.
func (r *rebuild) putIndex(ctx context.Context, key string, data []byte) error {
	if err := r.Backend.Put(ctx, key, bytes.NewReader(data), int64(len(data))); err != nil {
		return fmt.Errorf("store a sample index: %w", err)
	}
	r.mu.Lock()
	r.sum.Indexed++
	r.mu.Unlock()
	return nil
}

// summaries makes the summaries of sample indexes that a sealed recording does not have,
// and those that may lack segments because the node had died.
func (r *rebuild) summaries(ctx context.Context, rec media.Recording, f folder, indexes []string) error {
	byTrack := map[string][]string{}
	for _, name := range indexes {
		summary := media.SampleSummaryName(name)
		byTrack[summary] = append(byTrack[summary], name)
	}
	for name, of := range byTrack {
		if len(of) <= media.DirectIndexes || f.has(name) && rec.Recovered == 0 {
			continue
		}
		slices.SortFunc(of, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
		var sums fmp4.Summaries
		for _, one := range of {
			data, err := storage.ReadAll(ctx, r.Backend, path.Join(f.dir, one), fmp4.MaxIndex+1<<10)
			if errors.Is(err, storage.ErrNotFound) {
				continue // it could not be made, and that is said
			}
			if err != nil {
				return err
			}
			segments, err := fmp4.ReadIndex(data)
			if err != nil {
				r.problem(path.Join(f.dir, one), err.Error())
			}
			for _, s := range segments {
				sums.Fit(fmp4.Summarize(s.Number, s.Tables))
			}
		}
		key := path.Join(f.dir, name)
		if old, err := storage.ReadAll(ctx, r.Backend, key, fmp4.MaxSummary); err == nil && bytes.Equal(old, sums.Bytes()) {
			continue
		}
		if err := r.putIndex(ctx, key, sums.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// isWhole reports whether an index has so many segments.
func (r *rebuild) isWhole(ctx context.Context, key string, segments int) bool {
	data, err := storage.ReadAll(ctx, r.Backend, key, fmp4.MaxIndex)
	if err != nil {
		return false
	}
	have, err := fmp4.ReadIndex(data)
	return err == nil && len(have) >= segments
}

// numberOf returns the number of a segment; 0 if an object is none, or WebM.
func numberOf(o storage.Object) int { return media.IndexedNumber(path.Base(o.Key)) }

// indexOf returns the index of segments. One that has been lost since it was listed, or is
// damaged, is a fault.Invalid.
func indexOf(ctx context.Context, b storage.Backend, objects []storage.Object) (x fmp4.Index, err error) {
	slices.SortFunc(objects, func(a, b storage.Object) int { return numberOf(a) - numberOf(b) }) // 10000 comes after 9999
	for _, o := range objects {
		data, err := storage.ReadAll(ctx, b, o.Key, maxSegment)
		if err != nil {
			return x, err
		}
		tables, err := fmp4.Tables(bytes.NewReader(data), int64(len(data)))
		if err != nil || len(tables) == 0 {
			return x, fault.Errorf(fault.Invalid, "%s has no samples", path.Base(o.Key))
		}
		x.Fit(fmp4.IndexedSegment{Number: numberOf(o), Bytes: int64(len(data)), Tables: tables})
	}
	return x, nil
}
