package movie

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/live777/recorder/internal/storage"
)

// maxSkip is up to how many bytes of an object are read and thrown away, rather than
// asked for anew: what is between the samples of two chunks.
const maxSkip = 64 << 10

// maxBodies is how many objects are held open: one for each track, and those that have
// just ended.
const maxBodies = 4

// NewReader returns a reader of the file whose samples are in b. It can seek, as
// http.ServeContent needs it, and asks b for nothing before the first Read. It is not
// safe for concurrent use.
func (m *Movie) NewReader(ctx context.Context, b storage.Readable) io.ReadSeekCloser {
	return &reader{movie: m, ctx: ctx, backend: b}
}

type reader struct {
	movie   *Movie
	ctx     context.Context
	backend storage.Readable
	pos     int64
	bodies  []*body // the one read last is the last
	closed  bool
}

// body is an object that is read on from pos.
type body struct {
	io.ReadCloser
	object int32
	pos    int64
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	m := r.movie
	switch {
	case r.closed:
		return 0, fs.ErrClosed
	case r.pos >= m.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case r.pos < int64(len(m.head)):
		n := copy(p, m.head[r.pos:])
		r.pos += int64(n)
		return n, nil
	}
	// The extent that pos is in is the last one that begins at pos or before it.
	i := sort.Search(len(m.extents), func(i int) bool { return m.extents[i].at > r.pos }) - 1
	e := &m.extents[i]
	into := r.pos - e.at
	if e.object == silent {
		n := int(min(int64(len(p)), e.size-into))
		for i := range n {
			p[i] = opusSilence[(into+int64(i))%int64(len(opusSilence))]
		}
		r.pos += int64(n)
		return n, nil
	}
	b, err := r.body(e, e.offset+into)
	if err != nil {
		return 0, err
	}
	n, err := b.Read(p[:min(int64(len(p)), e.size-into)])
	b.pos += int64(n)
	r.pos += int64(n)
	switch {
	case n > 0:
		return n, nil // the next Read returns the error
	case errors.Is(err, io.EOF):
		return 0, r.ended(b)
	}
	return n, err
}

// body returns the object of an extent, which is read on from pos.
func (r *reader) body(e *extent, pos int64) (*body, error) {
	for i, b := range r.bodies {
		if b.object != e.object || b.pos > pos || pos-b.pos > maxSkip {
			continue
		}
		r.bodies = append(append(r.bodies[:i:i], r.bodies[i+1:]...), b)
		n, err := io.CopyN(io.Discard, b, pos-b.pos)
		b.pos += n
		if errors.Is(err, io.EOF) {
			err = r.ended(b)
		}
		return b, err
	}
	content, err := r.backend.Get(r.ctx, r.movie.keys[e.object], pos, -1)
	if err != nil {
		return nil, err
	}
	if len(r.bodies) == maxBodies {
		r.bodies[0].Close()
		r.bodies = append(r.bodies[:0], r.bodies[1:]...)
	}
	b := &body{ReadCloser: content, object: e.object, pos: pos}
	r.bodies = append(r.bodies, b)
	return b, nil
}

// ended is the error of an object that is shorter than it was when the file was made.
func (r *reader) ended(b *body) error {
	return fmt.Errorf("read object %q: it ends at byte %d: %w", r.movie.keys[b.object], b.pos, io.ErrUnexpectedEOF)
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	offset, err := storage.SeekTo(offset, whence, r.pos, r.movie.size)
	if err != nil {
		return 0, fmt.Errorf("seek the file: %w", err)
	}
	r.pos = offset
	return offset, nil
}

// Close closes the objects that are open.
func (r *reader) Close() error {
	r.closed = true
	var errs []error
	for _, b := range r.bodies {
		errs = append(errs, b.Close())
	}
	r.bodies = nil
	return errors.Join(errs...)
}
