package maintain

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// maxSegment is the longest segment that is read to make a sample index, in bytes.
const maxSegment = 1 << 30

// segmentName matches the names of segments that have sample indexes.
var segmentName = regexp.MustCompile(`^[va]\d*_seg_(\d{4,})\.m4s$`)

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
		data := index.Bytes()
		if err := r.Backend.Put(ctx, path.Join(f.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
			return fmt.Errorf("store a sample index: %w", err)
		}
		r.mu.Lock()
		r.sum.Indexed++
		r.mu.Unlock()
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
func numberOf(o storage.Object) int {
	m := segmentName.FindStringSubmatch(path.Base(o.Key))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

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
		var one fmp4.Index
		one.Add(fmp4.IndexedSegment{Number: numberOf(o), Bytes: int64(len(data)), Tables: tables})
		if x.Len()+one.Len() > fmp4.MaxIndex {
			break
		}
		x.Append(&one)
	}
	return x, nil
}
