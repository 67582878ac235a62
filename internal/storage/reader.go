package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// NewReader returns a reader of object o of backend b that can seek, as
// http.ServeContent needs it. Nothing is asked of b before the first Read;
// sequential reading is one Get, a seek elsewhere begins another. An object
// that has become shorter than o.Size ends with io.ErrUnexpectedEOF; what was
// appended after o.Size is not read. Not safe for concurrent use.
func NewReader(ctx context.Context, b Readable, o Object) io.ReadSeekCloser {
	return &reader{ctx: ctx, backend: b, object: o}
}

// OnDisk is what Get and NewReader return of an object that is a file of this machine.
type OnDisk interface {
	// OnDisk returns the file, which stands where the next Read would begin, so that the
	// kernel can send it; nil where it is not to be had. Whoever has read from it must not
	// Read any more, but Close.
	OnDisk() *os.File
}

type reader struct {
	ctx     context.Context
	backend Readable
	object  Object
	pos     int64         // of the next Read
	body    io.ReadCloser // nil, or a Get that stands at pos
	closed  bool
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.closed:
		return 0, fmt.Errorf("read object %q: %w", r.object.Key, fs.ErrClosed)
	case r.pos >= r.object.Size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if err := r.open(); err != nil {
		return 0, err
	}
	n, err := r.body.Read(p)
	r.pos += int64(n)
	if errors.Is(err, io.EOF) && r.pos < r.object.Size {
		return n, fmt.Errorf("read object %q: it ends at byte %d of %d: %w", r.object.Key, r.pos, r.object.Size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// open begins a Get where the next Read is, if there is none.
func (r *reader) open() (err error) {
	if r.body != nil {
		return nil
	}
	body, err := r.backend.Get(r.ctx, r.object.Key, r.pos, r.object.Size-r.pos)
	if err == nil {
		r.body = body
	}
	return err
}

// OnDisk implements the interface of this name. Read says what is wrong where it is nil.
func (r *reader) OnDisk() *os.File {
	if r.closed || r.pos >= r.object.Size || r.open() != nil || r.ctx.Err() != nil {
		return nil
	}
	if body, ok := r.body.(OnDisk); ok {
		return body.OnDisk()
	}
	return nil
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	offset, err := SeekTo(offset, whence, r.pos, r.object.Size)
	if err != nil {
		return 0, fmt.Errorf("seek object %q: %w", r.object.Key, err)
	}
	if offset != r.pos {
		_ = r.closeBody() // nothing was written, and the next Read opens anew
		r.pos = offset
	}
	return offset, nil
}

func (r *reader) closeBody() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	return err
}

func (r *reader) Close() error {
	r.closed = true
	return r.closeBody()
}

// SeekTo returns the position that a Seek with offset and whence leads to (io.Seeker), in
// what has a size and stands at pos. An unknown whence and a position before 0 are errors.
func SeekTo(offset int64, whence int, pos, size int64) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += pos
	case io.SeekEnd:
		offset += size
	default:
		return 0, fmt.Errorf("whence is %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("offset is %d", offset)
	}
	return offset, nil
}

// ReadAll returns the content of an object, of which so many bytes are read at most.
func ReadAll(ctx context.Context, b Readable, key string, most int64) ([]byte, error) {
	body, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, most))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	return data, nil
}
