package movie

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"sync"

	"github.com/live777/recorder/internal/storage"
)

const (
	// maxSkip is up to how many bytes of an object are read and thrown away, rather than
	// asked for anew: what is between the samples of two chunks.
	maxSkip = 64 << 10
	// maxBodies is how many objects are held open: one for each track, and those that have
	// just ended.
	maxBodies = 4
	// readAhead is how many sample indexes are read at the same time at most, for who reads
	// one after the other.
	readAhead = 8
)

// NewReader returns a reader of the file whose samples are in b. It can seek, as
// http.ServeContent needs it, and asks b for nothing before the first Read. It is not
// safe for concurrent use.
func (m *Movie) NewReader(ctx context.Context, b storage.Readable) io.ReadSeekCloser {
	return &reader{movie: m, ctx: ctx, source: source{b, m.index}, cursor: cursor{size: m.size}, ahead: 1}
}

// cursor is where somebody reads a file.
type cursor struct{ pos, size int64 }

// Seek implements io.Seeker.
func (c *cursor) Seek(offset int64, whence int) (int64, error) {
	offset, err := storage.SeekTo(offset, whence, c.pos, c.size)
	if err != nil {
		return 0, fmt.Errorf("seek the file: %w", err)
	}
	c.pos = offset
	return offset, nil
}

type reader struct {
	cursor
	movie  *Movie
	ctx    context.Context
	source source
	bodies []*body // the one read last is the last
	closed bool

	ahead int    // how many indexes are read at the same time
	group *group // the last that was read

	// What was made last: some entries of a table of the head, or what a part is made of.
	table   *section
	from    int64 // of entries, in the head
	entries []byte
	part    *part
	runs    []run
}

// body is an object that is read on from pos.
type body struct {
	io.ReadCloser
	object int32
	pos    int64
	end    int64 // up to where it was asked for; -1: to its end
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (n int, err error) {
	m := r.movie
	switch {
	case r.closed:
		return 0, fs.ErrClosed
	case r.pos >= m.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case r.pos >= m.head.size:
		return r.readMedia(p)
	}
	for n < len(p) && r.pos < m.head.size && err == nil {
		var some int
		some, err = r.readHead(p[n:])
		n += some
		r.pos += int64(some)
	}
	if n > 0 {
		err = nil // the next Read returns it
	}
	return n, err
}

// readHead reads some of the head.
func (r *reader) readHead(p []byte) (int, error) {
	list := r.movie.head.list
	s := &list[sort.Search(len(list), func(i int) bool { return list[i].at > r.pos })-1]
	if s.table == noTable {
		return copy(p, s.bytes[r.pos-s.at:]), nil
	}
	if s != r.table || r.pos < r.from || r.pos >= r.from+int64(len(r.entries)) {
		if err := r.makeEntries(s); err != nil {
			return 0, err
		}
	}
	return copy(p, r.entries[r.pos-r.from:]), nil
}

// makeEntries makes the entries of a table of the part in which pos is.
func (r *reader) makeEntries(s *section) error {
	t, width := s.track, s.table.width()
	entry := uint32((r.pos - s.at) / width)
	i := sort.Search(len(t.parts), func(i int) bool { return s.table.position(t, i) > entry }) - 1
	p := t.parts[i]
	r.table, r.from = s, s.at+width*int64(s.table.position(t, i))
	r.entries = r.entries[:0]
	if s.table == offsets {
		r.entries = s.table.append(r.entries, p, nil)
		return nil
	}
	if err := r.load(t, i); err != nil {
		return err
	}
	tables, err := p.read(r.ctx, r.source)
	if err != nil {
		return err
	}
	r.entries = s.table.append(r.entries, p, tables)
	if r.pos >= r.from+int64(len(r.entries)) {
		return fmt.Errorf("%w: a table is too short", errOther)
	}
	return nil
}

// load has the index of the i-th part of a track read, and the next ones too if the last
// one was read before it.
func (r *reader) load(t *track, i int) error {
	g := t.parts[i].group
	if g == nil || t.parts[i].tables != nil {
		return nil
	}
	if _, ok, _ := g.kept(); ok {
		r.group = g
		return nil
	}
	if i > 0 && r.group != nil && t.parts[i-1].group == r.group {
		r.ahead = min(2*r.ahead, readAhead)
	} else {
		r.ahead = 1
	}
	r.group = g
	groups := []*group{g}
	for _, p := range t.parts[i:] {
		if len(groups) == r.ahead {
			break
		}
		if p.group != nil && p.group != groups[len(groups)-1] && p.tables == nil {
			groups = append(groups, p.group)
		}
	}
	var workers sync.WaitGroup
	for _, g := range groups[1:] {
		workers.Go(func() { _, _ = g.load(r.ctx, r.source) }) // who needs it reads it again
	}
	_, err := g.load(r.ctx, r.source)
	workers.Wait()
	if err != nil {
		return fmt.Errorf("sample index %q: %w", g.key, err)
	}
	return nil
}

// readMedia reads some of the media.
func (r *reader) readMedia(buf []byte) (int, error) {
	m := r.movie
	p := m.parts[sort.Search(len(m.parts), func(i int) bool { return m.parts[i].at > r.pos })-1]
	if p != r.part {
		tables, err := p.read(r.ctx, r.source)
		if err != nil {
			return 0, err
		}
		r.part, r.runs = p, runs(p, tables)
	}
	into := r.pos - p.at
	for _, one := range r.runs {
		if into >= one.size {
			into -= one.size
			continue
		}
		if one.bytes != nil {
			n := copy(buf, one.bytes[into:])
			r.pos += int64(n)
			return n, nil
		}
		return r.readObject(buf[:min(int64(len(buf)), one.size-into)], p, one.offset+into)
	}
	return 0, fmt.Errorf("%w: a part is too short", errOther)
}

// readObject reads some of an object from a byte on.
func (r *reader) readObject(buf []byte, p *part, at int64) (int, error) {
	b, err := r.body(p, at)
	if err != nil {
		return 0, err
	}
	n, err := b.Read(buf)
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

// body returns the object of a part, which is read on from pos.
func (r *reader) body(p *part, pos int64) (*body, error) {
	for i, b := range r.bodies {
		if b.object != p.object || b.pos > pos || pos-b.pos > maxSkip || b.end >= 0 && b.end <= pos {
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
	end, length := int64(-1), int64(-1)
	if last := r.runs[len(r.runs)-1]; p.ends {
		end = last.offset + last.size
		length = end - pos
	}
	content, err := r.source.Get(r.ctx, r.movie.keys[p.object], pos, length)
	if err != nil {
		return nil, err
	}
	if len(r.bodies) == maxBodies {
		r.bodies[0].Close()
		r.bodies = append(r.bodies[:0], r.bodies[1:]...)
	}
	b := &body{ReadCloser: content, object: p.object, pos: pos, end: end}
	r.bodies = append(r.bodies, b)
	return b, nil
}

// ended is the error of an object that is shorter than it was when the file was made.
func (r *reader) ended(b *body) error {
	return fmt.Errorf("read object %q: it ends at byte %d: %w", r.movie.keys[b.object], b.pos, io.ErrUnexpectedEOF)
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
