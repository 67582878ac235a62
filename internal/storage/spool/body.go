package spool

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// body is the local object that an upload reads. It notices when reading stops, and can
// be broken off so that the remote never gets all of it.
type body struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration // without progress
	rate   int64         // bytes per second
	stall  *time.Timer
	size   int64

	mu      sync.Mutex
	file    io.ReadSeekCloser
	pos     int64
	aborted bool
	err     error // of the local disk
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, t tuning) *body {
	return &body{
		ctx: ctx, cancel: cancel, limit: t.stall, rate: t.rate,
		stall: time.AfterFunc(t.stall, func() { cancel(errStalled) }),
	}
}

// set gives the body its file, which body closes. It reports whether the file is still
// wanted.
func (b *body) set(f io.ReadSeekCloser, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.size = f, size
	return !b.aborted
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return 0, errDeleted
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.file.Read(p)
	b.pos += int64(n)
	limit := b.limit
	if b.pos >= b.size { // and much of it may still be in this machine
		limit += time.Duration(min(b.size, socketBuffer)/b.rate) * time.Second
	}
	b.stall.Reset(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pos, err := b.file.Seek(offset, whence)
	if err == nil {
		b.pos = pos
	}
	return pos, err
}

// sent reports whether all has been read, so that the remote may have it.
func (b *body) sent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.file != nil && b.pos >= b.size
}

// abort breaks the upload off, unless the remote may have all of it.
func (b *body) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil || b.pos < b.size {
		b.aborted = true
		b.cancel(errDeleted)
	}
}

func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *body) close() {
	b.stall.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil {
		_ = b.file.Close() // only read
	}
}
