package movie

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

const (
	// atOnce is how many segments, or sample indexes, are looked into at the same time.
	atOnce = 8
	// maxInit is the longest init segment that is read, in bytes.
	maxInit = 1 << 20
	// maxStats is how many segments a file has of which it is asked whether they are
	// still there; of more it is found out when they are read.
	maxStats = 64
	// keyTries is how many segments are looked at for the key frame before a time: some
	// begin without one, if a sender ignores requests.
	keyTries = 16
)

// Opening is where the segments of a file are looked up.
type Opening struct {
	Backend storage.Readable
	// Index returns a sample index that is not stored yet; may be nil.
	Index func(key string) ([]byte, bool)
	// Check says that it is asked whether the segments are there, however many.
	Check bool
	Title Title
}

// Open makes the file of the whole recording in folder dir, by its manifest: the best
// Representation of each kind, from the first to the last segment that is named. What the
// storage has lost is left out; the last picture before lasts for as long, and missing
// names it. A recording that cannot be one file is a fault.Conflict that says why, one
// without media a fault.NotFound.
func Open(ctx context.Context, b storage.Readable, dir string, manifest []byte, title Title) (m *Movie, missing []string, err error) {
	p, err := NewPlan([]Source{{Dir: dir, Manifest: manifest}}, Choice{})
	if err != nil {
		return nil, nil, err
	}
	f, err := p.One()
	if err != nil {
		return nil, nil, err
	}
	return p.Open(ctx, f, Opening{Backend: b, Title: title})
}

// Open makes one of the files of a plan.
func (p *Plan) Open(ctx context.Context, f *File, how Opening) (m *Movie, missing []string, err error) {
	if f.Why != "" {
		return nil, nil, fault.New(fault.Conflict, f.Why)
	}
	o := &opener{Opening: how, many: p.many, indexes: map[string]*index{}}
	count := 0
	for _, pieces := range f.tracks {
		for _, one := range pieces {
			count += len(one.segments)
		}
	}
	o.Check = o.Check || count <= maxStats
	var tracks []*track
	for _, pieces := range f.tracks {
		t, err := o.track(ctx, pieces)
		if err != nil {
			return nil, nil, err
		}
		if t != nil && len(t.chunks) > 0 {
			tracks = append(tracks, t)
		}
	}
	if len(tracks) == 0 {
		return nil, o.missing, fault.New(fault.NotFound, "there is nothing in it that can be put into one file")
	}
	start := earliest(tracks)
	if f.cut {
		start = max(start, int64(f.start))
	}
	title := how.Title
	title.Start = p.epoch.Add(time.Duration(start))
	if len(o.missing) > 0 {
		title.Comment = strings.TrimSpace(title.Comment + "\nLost by the storage: " + strings.Join(o.missing, ", "))
	}
	if m, err = layOut(tracks, o.keys, start, title); err == nil {
		m.missing = o.missing
	}
	return m, o.missing, err
}

// opener reads the segments of recordings.
type opener struct {
	Opening
	many    bool     // recordings
	keys    []string // of the segments
	missing []string // names of what is not there

	mu      sync.Mutex
	indexes map[string]*index // by key
}

// track returns the track of pieces, nil if there is none.
func (o *opener) track(ctx context.Context, pieces []*piece) (*track, error) {
	var t *track
	for _, p := range pieces {
		init, err := o.read(ctx, p, p.init)
		if errors.Is(err, storage.ErrNotFound) {
			o.miss(p, p.init) // without it nobody can decode the Period
			continue
		}
		if err != nil {
			return nil, err
		}
		if t == nil {
			t, err = newTrack(p.kind, init)
		} else {
			err = t.begin(init)
		}
		if err != nil {
			return nil, fmt.Errorf("object %q: %w", path.Join(p.dir, p.init), err)
		}
		if err := o.piece(ctx, t, p); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// miss notes that the storage does not have an object.
func (o *opener) miss(p *piece, name string) {
	if o.many {
		name = path.Join(p.dir, name)
	}
	o.missing = append(o.missing, name)
}

// read returns the content of a small object.
func (o *opener) read(ctx context.Context, p *piece, name string) ([]byte, error) {
	key, err := p.key(name)
	if err != nil {
		return nil, err
	}
	return storage.ReadAll(ctx, o.Backend, key, maxInit)
}

// key returns the key of an object that the manifest names: one in the same folder.
func (p *piece) key(name string) (string, error) {
	if !media.IsObjectName(name) {
		return "", fmt.Errorf("read the manifest: it names %q, which is no object of a recording", name)
	}
	return path.Join(p.dir, name), nil
}

// piece adds what is wanted of a piece to a track.
func (o *opener) piece(ctx context.Context, t *track, p *piece) error {
	t.shift, t.stop = media.TicksOf(p.shift, p.timescale), math.MaxInt64
	if p.to > 0 {
		t.stop = media.TicksOf(p.to, p.timescale) + t.shift
	}
	first := 0
	if p.from > 0 {
		var err error
		if first, err = o.beginning(ctx, t, p); err != nil {
			return err
		}
	}
	return o.segments(ctx, t, p, p.segments[first:])
}

// rollTime is how much sound a decoder wants before what is heard (RFC 7845 4.6).
const rollTime = 80 * time.Millisecond

// beginning returns from which segment on a piece is to be read that is not wanted from its
// beginning on. The first piece of a track begins with what a decoder needs before what
// is wanted, and the others with what can be decoded by itself.
func (o *opener) beginning(ctx context.Context, t *track, p *piece) (int, error) {
	from := media.TicksOf(p.from, p.timescale)
	lead := from
	if p.kind == media.Audio && len(t.chunks) == 0 {
		lead -= media.TicksOf(rollTime, p.timescale)
	}
	i := len(p.segments) - 1
	for i > 0 && p.segments[i].time > lead {
		i--
	}
	if p.kind == media.Audio || len(t.chunks) > 0 {
		t.leaveOut(lead+t.shift, p.kind == media.Video)
		return i, nil
	}
	for tries := 0; ; tries++ {
		tables, err := o.look(ctx, p, &p.segments[i])
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return 0, err
		}
		if key, ok := keyBefore(tables, from); ok {
			t.leaveOut(key+t.shift, true)
			return i, nil
		}
		if i == 0 || tries == keyTries {
			t.leaveOut(math.MinInt64, true)
			return i, nil
		}
		i--
	}
}

// keyBefore returns when the last key frame of a segment is decoded that is shown at a
// time or before it.
func keyBefore(tables []fmp4.Table, at media.Ticks) (key media.Ticks, ok bool) {
	for _, table := range tables {
		time := table.Time
		for _, s := range table.Samples {
			if s.Key && time+media.Ticks(s.Composition) <= at {
				key, ok = time, true
			}
			time += media.Ticks(s.Duration)
		}
	}
	return key, ok
}

// looked is what is known of a segment.
type looked struct {
	tables []fmp4.Table
	err    error
}

// segments adds segments to a track, which are looked into a few at a time and added in
// their order.
func (o *opener) segments(ctx context.Context, t *track, p *piece, segments []segment) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	results := make([]chan looked, len(segments))
	for i := range results {
		results[i] = make(chan looked, 1)
	}
	queue := make(chan int)
	for range min(atOnce, len(segments)) {
		workers.Go(func() {
			for i := range queue {
				tables, err := o.look(ctx, p, &segments[i])
				results[i] <- looked{tables, err}
			}
		})
	}
	workers.Go(func() {
		defer close(queue)
		for i := range segments {
			select {
			case queue <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range segments {
		var l looked
		select {
		case l = <-results[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(l.err, storage.ErrNotFound) {
			o.miss(p, segments[i].name)
			continue
		}
		if l.err != nil {
			return l.err
		}
		key := path.Join(p.dir, segments[i].name)
		o.keys = append(o.keys, key)
		if err := t.add(int32(len(o.keys)-1), l.tables); err != nil {
			return fmt.Errorf("object %q: %w", key, err)
		}
	}
	return nil
}

// look returns the tables of a segment: from the sample index, else from the segment.
func (o *opener) look(ctx context.Context, p *piece, s *segment) ([]fmp4.Table, error) {
	key, err := p.key(s.name)
	if err != nil {
		return nil, err
	}
	tables, ok := o.indexed(ctx, p, s)
	if ok && !o.Check {
		return tables, nil
	}
	object, err := o.Backend.Stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("look at object %q: %w", key, err)
	}
	if ok {
		return tables, nil
	}
	r := storage.NewReader(ctx, o.Backend, object)
	defer func() { _ = r.Close() }() // nothing was written
	if tables, err = fmp4.Tables(r, object.Size); err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("read object %q: it has no samples", key)
	}
	return tables, nil
}
