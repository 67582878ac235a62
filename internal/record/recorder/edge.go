package recorder

import (
	"context"
	"path"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/storage"
)

// This file has what players of low latency ask of a recording that runs: its manifests
// with the chunks of its open segments, and to wait for more.

const (
	// maxWaiting is how many requests wait for what is recorded, of all recordings.
	maxWaiting = 4096
	// maxWait is how long one waits: longer than chunks take that are not late.
	maxWait = 20 * time.Second
)

// waiting is the requests that wait for what is recorded.
type waiting struct {
	count atomic.Int64
	ctx   context.Context // ends when nobody is to wait any more
	stop  context.CancelFunc
}

// Await waits until more is closed; came is false if that takes longer than 20 s. The error
// is a fault.Unavailable if too many wait, or that of ctx.
func (r *Recorder) Await(ctx context.Context, more <-chan struct{}) (came bool, err error) {
	defer r.waiting.count.Add(-1)
	if r.waiting.count.Add(1) > maxWaiting {
		return false, fault.Waitf(fault.Unavailable, time.Second, "%d requests wait for what is recorded: try again in %d s", maxWaiting)
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-more:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-r.waiting.ctx.Done():
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// StopWaiting has nobody wait for what is recorded any more.
func (r *Recorder) StopWaiting() { r.waiting.stop() }

// LiveManifest returns the manifest with the given key of a recording that is not sealed yet, with
// the chunks of its open segments, and when it last changed: when it has come so far as q
// says, or as it is after 20 s.
func (r *Recorder) LiveManifest(ctx context.Context, key string, q media.Reload) (data []byte, modified time.Time, ok bool, err error) {
	if storage.ClassOf(key) != storage.Manifest {
		return nil, time.Time{}, false, nil
	}
	rec := r.activeIn(path.Dir(key))
	if rec == nil {
		return nil, time.Time{}, false, nil
	}
	for {
		var more <-chan struct{}
		if data, more, err = rec.LiveManifest(path.Base(key), q); err != nil {
			return nil, time.Time{}, false, err
		}
		if more == nil {
			return data, r.o.Now(), data != nil, nil
		}
		switch came, err := r.Await(ctx, more); {
		case err != nil:
			return nil, time.Time{}, false, err
		case !came:
			q.Sequence = -1
		}
	}
}

// Edge returns the chunks at the live edge of a recording that is not sealed yet, and what
// is closed when there is more.
func (r *Recorder) Edge(recordDir string) (tail manifest.Tail, more <-chan struct{}, ok bool) {
	rec := r.activeIn(recordDir)
	if rec == nil {
		return manifest.Tail{}, nil, false
	}
	return rec.Edge()
}

// Grown returns how many bytes of whole chunks the segment with the given key has: when it
// has more than so many, or after 20 s. open says that it grows, or comes next; otherwise
// it is closed, or there is none.
func (r *Recorder) Grown(ctx context.Context, key string, beyond int64) (size int64, open bool, err error) {
	rec := r.activeIn(path.Dir(key))
	if rec == nil {
		return 0, false, nil
	}
	for {
		var more <-chan struct{}
		size, open, more = rec.Grown(path.Base(key))
		if !open || size > beyond {
			return size, open, nil
		}
		switch came, err := r.Await(ctx, more); {
		case err != nil:
			return 0, false, err
		case !came:
			return size, open, nil
		}
	}
}
