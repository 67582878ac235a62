package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

var errDown = fault.New(fault.Unavailable, "the server is down")

// memRemote is a remote in memory, with faults. Its objects are as strongly
// consistent as S3's.
type memRemote struct {
	mu      sync.Mutex
	objects map[string]memObject
	version int
	stored  []string       // keys, in the order in which they were stored
	writes  map[string]int // how often each was

	// before is called when a write begins, after when it has been stored; an
	// error is the caller's answer. Both without the lock.
	before func(ctx context.Context, key string, body io.Reader) error
	after  func(ctx context.Context, key string) error
	// ask is called when something is read.
	ask func(ctx context.Context, key string) error
	// wrong changes what is read; it is called with the lock.
	wrong func(key string, o memObject) memObject
}

type memObject struct {
	data     []byte
	etag     string
	modified time.Time
}

func newMemRemote() *memRemote {
	return &memRemote{objects: map[string]memObject{}, writes: map[string]int{}}
}

func (m *memRemote) hook(f *func(context.Context, string) error, ctx context.Context, key string) error { //nolint:revive // the hook comes first
	m.mu.Lock()
	h := *f
	m.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(ctx, key)
}

func (m *memRemote) write(ctx context.Context, key string, body io.Reader, size int64, add bool) error {
	if err := errors.Join(ctx.Err(), media.CheckPath(key)); err != nil {
		return err
	}
	if size < 0 {
		return fault.New(fault.Invalid, "negative size")
	}
	m.mu.Lock()
	before := m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, key, body); err != nil {
			return err
		}
	}
	data, err := io.ReadAll(&ctxReader{ctx, io.LimitReader(body, size+1)})
	if err != nil {
		return err
	}
	if int64(len(data)) != size {
		return fmt.Errorf("%d bytes announced, %d came: %w", size, len(data), io.ErrUnexpectedEOF)
	}
	m.mu.Lock()
	if _, exists := m.objects[key]; exists && add {
		m.mu.Unlock()
		return fault.Errorf(fault.Conflict, "add %q: %w", key, iofs.ErrExist)
	}
	m.version++
	m.objects[key] = memObject{data, fmt.Sprint(m.version), time.Now()}
	m.stored = append(m.stored, key)
	m.writes[key]++
	m.mu.Unlock()
	return m.hook(&m.after, ctx, key)
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (m *memRemote) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return m.write(ctx, key, body, size, false)
}

func (m *memRemote) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return m.write(ctx, key, body, size, true)
}

func (m *memRemote) lookup(ctx context.Context, key string) (memObject, error) {
	if err := errors.Join(ctx.Err(), media.CheckPath(key)); err != nil {
		return memObject{}, err
	}
	if err := m.hook(&m.ask, ctx, key); err != nil {
		return memObject{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return o, storage.ErrNotFound
	}
	if m.wrong != nil {
		o = m.wrong(key, o)
	}
	return o, nil
}

func (m *memRemote) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fault.New(fault.Invalid, "negative offset")
	}
	o, err := m.lookup(ctx, key)
	if err != nil {
		return nil, err
	}
	data := o.data[min(offset, int64(len(o.data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(&ctxReader{ctx, bytes.NewReader(data)}), nil
}

func (m *memRemote) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := m.lookup(ctx, key)
	if err != nil {
		return storage.Object{}, err
	}
	return storage.Object{Key: key, Size: int64(len(o.data)), ETag: o.etag, Modified: o.modified}, nil
}

func (m *memRemote) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if err := errors.Join(ctx.Err(), m.hook(&m.ask, ctx, prefix)); err != nil {
			yield(storage.Object{}, err)
			return
		}
		m.mu.Lock()
		objects := maps.Clone(m.objects)
		m.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if prefix != "" && !strings.HasPrefix(key, prefix+"/") {
				continue
			}
			o := objects[key]
			if !yield(storage.Object{Key: key, Size: int64(len(o.data)), ETag: o.etag, Modified: o.modified}, nil) {
				return
			}
		}
	}
}

func (m *memRemote) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), media.CheckPath(key)); err != nil {
		return err
	}
	if err := m.hook(&m.ask, ctx, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// set changes what the remote does.
func (m *memRemote) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// down has everything answered by err; nil ends that.
func (m *memRemote) down(err error) {
	m.set(func() {
		m.before, m.ask = nil, nil
		if err != nil {
			m.before = func(context.Context, string, io.Reader) error { return err }
			m.ask = func(context.Context, string) error { return err }
		}
	})
}

func (m *memRemote) content(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	return string(o.data), ok
}

func (m *memRemote) order() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stored)
}

// keys returns all keys in order.
func (m *memRemote) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

func wantRemote(t *testing.T, m *memRemote, key, want string) {
	t.Helper()
	if got, ok := m.content(key); !ok || got != want {
		t.Errorf("remote %s = %.60q, %t; want %.60q", key, got, ok, want)
	}
}
