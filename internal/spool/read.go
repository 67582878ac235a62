package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/live777/recorder/internal/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// An object leaves the disk after the remote has it: who looks here first and there
// second finds it always.

// Get implements storage.Backend. What has been opened here is read to its end
// though it leaves the disk meanwhile.
func (s *Spool) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.local.Get(ctx, key, offset, length)
	if errors.Is(err, storage.ErrNotFound) {
		return s.o.Remote.Get(ctx, key, offset, length)
	}
	return r, err
}

// Stat implements storage.Backend. Of an object that is not here and a remote that
// does not answer it is a fault.Unavailable, in about five seconds, and at once when
// the remote has not answered others. An object's ETag is another one, and its time may
// be, when it has been uploaded.
func (s *Spool) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := s.local.Stat(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return s.statRemote(ctx, key, s.tune.stat)
	}
	return o, err
}

// List implements storage.Backend: what is here and what is remote, in one order.
// Of an object that is in both places the one here is listed.
func (s *Spool) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		// All that is here before anything that is there: see above.
		var here []storage.Object
		for o, err := range s.local.List(ctx, prefix) {
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

// PresignGet implements storage.Presigner. storage.ErrNotFound of an object that is
// still on this machine, which Get has; a fault.Unsupported where the remote is no
// Presigner. Whether the remote has the object is not asked.
func (s *Spool) PresignGet(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if err := media.CheckPath(key); err != nil {
		return "", fmt.Errorf("presign object: %w", err)
	}
	p, ok := s.o.Remote.(storage.Presigner)
	switch {
	case !ok:
		return "", fault.Errorf(fault.Unsupported, "presign object %q: this storage has no presigned URLs", key)
	case s.Pending(key):
		return "", fmt.Errorf("presign object %q: it is not uploaded yet: %w", key, storage.ErrNotFound)
	}
	return p.PresignGet(ctx, key, ttl)
}
