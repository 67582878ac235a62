package movie

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/webm"
	"github.com/live777/recorder/internal/storage"
)

// NewReader returns a reader of the file whose samples are in b. It can seek, as
// http.ServeContent needs it, and asks b for nothing before the first Read. It is not
// safe for concurrent use.
func (m *WebM) NewReader(ctx context.Context, b storage.Readable) io.ReadSeekCloser {
	return &webmReader{movie: m, ctx: ctx, source: source{b, m.index}, cursor: cursor{size: m.size}}
}

type webmReader struct {
	cursor
	movie  *WebM
	ctx    context.Context
	source source
	closed bool

	// What was made last.
	group *clusters
	data  []byte
}

// Read implements io.Reader.
func (r *webmReader) Read(p []byte) (int, error) {
	m := r.movie
	switch {
	case r.closed:
		return 0, fs.ErrClosed
	case r.pos >= m.size:
		return 0, io.EOF
	case r.pos < int64(len(m.head)):
		n := copy(p, m.head[r.pos:])
		r.pos += int64(n)
		return n, nil
	}
	g := &m.groups[sort.Search(len(m.groups), func(i int) bool { return m.groups[i].at > r.pos })-1]
	if g != r.group {
		data, err := m.build(r.ctx, r.source, g)
		if err != nil {
			return 0, err
		}
		r.group, r.data = g, data
	}
	n := copy(p, r.data[r.pos-g.at:])
	r.pos += int64(n)
	return n, nil
}

// Close implements io.Closer.
func (r *webmReader) Close() error {
	r.closed, r.data, r.group = true, nil, nil
	return nil
}

// build makes some Clusters of the file. What they are made of is read at the same time.
func (m *WebM) build(ctx context.Context, from source, g *clusters) ([]byte, error) {
	lists, errs := make([][]webm.Block, 1+len(g.sound)), make([]error, 1+len(g.sound))
	err := inTurns(ctx, len(lists), func(i int) {
		switch {
		case i > 0:
			lists[i], errs[i] = m.soundOf(ctx, from, g.sound[i-1])
		case g.pictures != nil:
			lists[i], errs[i] = m.picturesOf(ctx, from, g.pictures)
		}
	})
	if err := errors.Join(err, errors.Join(errs...)); err != nil {
		return nil, err
	}
	blocks := slices.Concat(lists...)
	slices.SortStableFunc(blocks, func(a, b webm.Block) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(b.Track, a.Track)) // sound first
	})
	data := webm.AppendBlocks(make([]byte, 0, g.size), blocks)
	data, ok := webm.AppendVoid(data, g.size-int64(len(data)))
	if !ok {
		return nil, fmt.Errorf("%w: what is made of its segments is too long", errOther)
	}
	return data, nil
}

// picturesOf reads pictures.
func (m *WebM) picturesOf(ctx context.Context, from source, x *pictures) (blocks []webm.Block, err error) {
	data, err := readRange(ctx, from, x.key, 0, x.length)
	if err != nil {
		return nil, err
	}
	frames, err := webm.Frames(bytes.NewReader(data), false)
	if err != nil {
		return nil, fmt.Errorf("read object %q: %w", x.key, err)
	}
	for _, f := range frames {
		if x.shows(f) && x.at(f) >= m.start {
			blocks = append(blocks, webm.Block{Track: webm.VideoTrack, Time: m.ticks(x.at(f)), Key: f.Key, Data: data[f.Offset:][:f.Size]})
		}
	}
	return blocks, nil
}

// soundOf reads a part of the sound.
func (m *WebM) soundOf(ctx context.Context, from source, p *part) (blocks []webm.Block, err error) {
	tables, err := p.read(ctx, from)
	if err != nil {
		return nil, err
	}
	var data []byte
	var offset int64
	if p.object == silent {
		tables = silence(p)
	} else {
		runs := runs(p, tables)
		last := runs[len(runs)-1]
		offset = runs[0].offset
		if data, err = readRange(ctx, from, m.keys[p.object], offset, last.offset+last.size-offset); err != nil {
			return nil, err
		}
	}
	at := p.time
	for _, table := range tables {
		pos := table.Offset - offset
		for _, e := range table.Samples {
			packet := opusSilence
			if p.object != silent {
				packet = data[pos:][:e.Size]
				pos += int64(e.Size)
			}
			if when := at.Duration(m.sound.timescale); when >= m.start {
				blocks = append(blocks, webm.Block{Track: webm.AudioTrack, Time: m.ticks(when), Key: true, Data: packet})
			}
			at += media.Ticks(e.Duration)
		}
	}
	return blocks, nil
}

// readRange returns so many bytes of an object.
func readRange(ctx context.Context, from storage.Readable, key string, offset, length int64) ([]byte, error) {
	r, err := from.Get(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("open object %q: %w", key, err)
	}
	data := make([]byte, length)
	_, err = io.ReadFull(r, data)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	return data, nil
}
