package spool

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/live777/recorder/internal/storage"
)

// An object leaves the disk after the remote has it. So whoever looks here first and
// there second always finds it.

// Get implements storage.Backend. An object that has been opened here is read to its
// end, even if it leaves the disk meanwhile.
func (s *Spool) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.disk.objects.Get(ctx, key, offset, length)
	if errors.Is(err, storage.ErrNotFound) {
		return s.o.Remote.Get(ctx, key, offset, length)
	}
	return r, err
}

// Stat implements storage.Backend. If an object is not here and the remote does not
// answer, the error is a fault.Unavailable, after about five seconds, or at once if the
// remote has not answered other questions. An object's ETag, and perhaps its time,
// changes when it is uploaded.
func (s *Spool) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := s.disk.objects.Stat(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return s.asker.stat(ctx, key, s.tune.stat)
	}
	return o, err
}

// List implements storage.Backend. It lists what is here and what is remote, in one
// order. If an object is in both places, it lists the one here.
func (s *Spool) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		// All that is here before anything that is there: see above.
		var here []storage.Object
		for o, err := range s.disk.objects.List(ctx, prefix) {
			if err != nil {
				yield(storage.Object{}, err)
				return
			}
			here = append(here, o)
		}
		for o, err := range s.o.Remote.List(ctx, prefix) {
			if err != nil {
				yield(storage.Object{}, err)
				return
			}
			for len(here) > 0 && here[0].Key < o.Key {
				if !yield(here[0], nil) {
					return
				}
				here = here[1:]
			}
			if len(here) > 0 && here[0].Key == o.Key {
				o, here = here[0], here[1:]
			}
			if !yield(o, nil) {
				return
			}
		}
		for _, o := range here {
			if !yield(o, nil) {
				return
			}
		}
	}
}
