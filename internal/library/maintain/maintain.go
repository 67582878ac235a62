// Package maintain compares storage and catalogue. Rebuild makes the catalogue from
// what is in storage. Verify says everything that is wrong with either. Both may run
// beside nodes that use the same two.
package maintain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// pageSize is how many rows are asked of the catalogue at a time.
const pageSize = 1000

// folder is a folder of the storage with the objects that are directly in it.
type folder struct {
	dir     string
	objects []storage.Object // by their keys
}

// has reports whether the folder has an object with a name.
func (f *folder) has(name string) bool {
	_, ok := f.object(name)
	return ok
}

// object returns the object of the folder with a name.
func (f *folder) object(name string) (storage.Object, bool) {
	i := slices.IndexFunc(f.objects, func(o storage.Object) bool { return path.Base(o.Key) == name })
	if i < 0 {
		return storage.Object{}, false
	}
	return f.objects[i], true
}

// hasSegments reports whether the folder has media.
func (f *folder) hasSegments() bool {
	return slices.ContainsFunc(f.objects, func(o storage.Object) bool { return strings.Contains(path.Base(o.Key), "_seg_") })
}

// recorded splits the objects of the folder into those that have the names of a
// recording's objects, and others.
func (f *folder) recorded() (own []storage.Object, others int) {
	for _, o := range f.objects {
		if media.IsObjectName(path.Base(o.Key)) {
			own = append(own, o)
		} else {
			others++
		}
	}
	return own, others
}

// folders yields the folders below prefix that have objects, each when it is complete.
// It keeps in memory only the folders that one key is in, because a storage may have
// many millions of objects. Objects at the top of the storage are in no folder. It ends
// after the first error.
func folders(ctx context.Context, backend storage.Backend, prefix string) iter.Seq2[folder, error] {
	return func(yield func(folder, error) bool) {
		var open []folder // each within the one before it
		// leave yields the folders that a key is not in: keys come in lexical
		// order, in which all that begin alike are together.
		leave := func(key string) bool {
			for len(open) > 0 && !strings.HasPrefix(key, open[len(open)-1].dir+"/") {
				last := open[len(open)-1]
				open = open[:len(open)-1]
				if !yield(last, nil) {
					return false
				}
			}
			return true
		}
		for o, err := range backend.List(ctx, prefix) {
			if err != nil {
				yield(folder{}, fmt.Errorf("list the storage: %w", err))
				return
			}
			dir := path.Dir(o.Key)
			if dir == "." {
				continue
			}
			if !leave(o.Key) {
				return
			}
			// Those that are open now are above the key's folder, or it itself.
			if len(open) == 0 || open[len(open)-1].dir != dir {
				open = append(open, folder{dir: dir})
			}
			last := &open[len(open)-1]
			last.objects = append(last.objects, o)
		}
		leave("")
	}
}

// each calls do for every folder, some at a time, until one returns an error,
// which it then returns.
func each(ctx context.Context, all iter.Seq2[folder, error], workers int, do func(context.Context, folder) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan folder)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for f := range work {
				if err := do(ctx, f); err != nil {
					cancel(err)
				}
			}
		})
	}
	for f, err := range all {
		if err != nil {
			cancel(err)
		}
		if ctx.Err() != nil {
			break
		}
		select {
		case work <- f:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// readInfo reads the recording.json in a folder. The error is storage's, or a
// fault.Invalid for a file that is damaged.
func readInfo(ctx context.Context, backend storage.Backend, dir string) (rec media.Recording, moved bool, err error) {
	body, err := backend.Get(ctx, path.Join(dir, media.InfoName), 0, media.MaxInfoSize)
	if err != nil {
		return rec, false, err
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return rec, false, fmt.Errorf("read object: %w", err)
	}
	return media.DecodeRecording(data, dir)
}

// damaged reports whether an error says that an object is not what it should be,
// and not that the storage fails.
func damaged(err error) bool {
	return fault.KindOf(err) == fault.Invalid || errors.Is(err, storage.ErrNotFound) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Same reports whether two states of a recording agree. The catalogue has times to
// the millisecond.
func Same(a, b media.Recording) bool {
	one, err := json.Marshal(rounded(a))
	other, err2 := json.Marshal(rounded(b))
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// Stored reports whether storage has acknowledged all of a recording that has ended. If
// such a recording is not in storage, it was deleted. Any other may still wait for its
// upload.
func Stored(r media.Recording) bool {
	const rounding = 0.001 // seconds
	return r.Status != media.StatusRecording && r.DurableThrough+rounding >= r.Duration
}

func rounded(r media.Recording) media.Recording {
	r.Start = r.Start.UTC().Truncate(time.Millisecond)
	if r.End != nil {
		end := r.End.UTC().Truncate(time.Millisecond)
		r.End = &end
	}
	if len(r.Tracks) == 0 {
		r.Tracks = nil
	}
	return r
}
