package movie

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	// Lister lists what Backend has, so that not every segment has to be asked for; may be nil.
	Lister storage.Lister
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
	o, err := p.prepare(ctx, f, how)
	if err != nil {
		return nil, nil, err
	}
	return o.open(ctx, p, f)
}

// prepare returns an opener that knows what is to be known of a file's pieces.
func (p *Plan) prepare(ctx context.Context, f *File, how Opening) (*opener, error) {
	if f.Why != "" {
		return nil, fault.New(fault.Conflict, f.Why).Coded("not_one_file")
	}
	o := p.opener(how)
	var all []*piece
	count := 0
	for _, pieces := range f.tracks {
		for _, one := range pieces {
			count += len(one.segments)
		}
		all = append(all, pieces...)
	}
	o.Check = o.Check || count <= maxStats
	if err := o.prepare(ctx, all); err != nil {
		return nil, err
	}
	return o, nil
}

// open makes a file of a plan, of which all pieces are known.
func (o *opener) open(ctx context.Context, p *Plan, f *File) (m *Movie, missing []string, err error) {
	var tracks []*track
	for _, pieces := range f.tracks {
		t, err := o.track(ctx, pieces)
		if err != nil {
			return nil, nil, err
		}
		if t != nil && len(t.parts) > 0 {
			tracks = append(tracks, t)
		}
	}
	if len(tracks) == 0 {
		return nil, o.missing, fault.New(fault.NotFound, "there is nothing in it that can be put into one file").Coded("nothing_for_file")
	}
	start := earliest(tracks)
	if f.cut {
		start = max(start, int64(f.start))
	}
	m = &Movie{tracks: tracks, keys: o.keys, missing: o.missing, indexes: o.indexes, index: o.Index}
	if err := m.layOut(start, o.titled(p, time.Duration(start))); err != nil {
		return nil, o.missing, err
	}
	return m, o.missing, nil
}

// titled returns the title of a file that begins at a time since the epoch.
func (o *opener) titled(p *Plan, start time.Duration) Title {
	title := o.Title
	title.Start = p.epoch.Add(start)
	if len(o.missing) > 0 {
		title.Comment = strings.TrimSpace(title.Comment + "\nLost by the storage: " + strings.Join(o.missing, ", "))
	}
	return title
}

// opener reads the segments of recordings.
type opener struct {
	Opening
	many    bool     // recordings
	keys    []string // of the segments
	missing []string // names of what is not there
	indexes *indexes
	known   map[*piece]*known

	folder    string           // that was listed last
	lengthsOf map[string]int64 // of its WebM segments
}

// opener returns one for the recordings of a plan.
func (p *Plan) opener(how Opening) *opener {
	return &opener{Opening: how, many: p.many, indexes: newIndexes()}
}

// source is where its sample indexes are.
func (o *opener) source() source { return source{o.Backend, o.Index} }

// known is what has been read of a piece before its segments are looked at.
type known struct {
	init    []byte
	err     error // of init
	summary []fmp4.Summary
}

// prepare reads the init segments and the summaries of pieces, a few at a time.
func (o *opener) prepare(ctx context.Context, pieces []*piece) error {
	o.known = map[*piece]*known{}
	for _, p := range pieces {
		o.known[p] = &known{}
	}
	return inTurns(ctx, 2*len(pieces), func(i int) {
		p := pieces[i/2]
		if k := o.known[p]; i%2 == 0 {
			k.init, k.err = o.read(ctx, p, p.init)
		} else {
			k.summary = o.summary(ctx, p)
		}
	})
}

// inTurns calls do with the numbers below n, a few at the same time, and waits for all.
func inTurns(ctx context.Context, n int, do func(i int)) error {
	var workers sync.WaitGroup
	var next atomic.Int64
	for range min(atOnce, n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}

// track returns the track of pieces, nil if there is none.
func (o *opener) track(ctx context.Context, pieces []*piece) (*track, error) {
	var t *track
	for _, p := range pieces {
		init, err := o.known[p].init, o.known[p].err
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
	if p.kind == media.Audio && len(t.parts) == 0 {
		lead -= media.TicksOf(rollTime, p.timescale)
	}
	i := len(p.segments) - 1
	for i > 0 && p.segments[i].time > lead {
		i--
	}
	if p.kind == media.Audio || len(t.parts) > 0 {
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
	tables  []fmp4.Table
	indexed bool // they are those of the sample index
	err     error
}

// ahead is how many segments are looked into before they are added.
const ahead = 4 * atOnce

// segments adds segments to a track. Those of which there is no summary are looked into a
// few at a time, and added in their order.
func (o *opener) segments(ctx context.Context, t *track, p *piece, segments []segment) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	summary := o.known[p].summary
	if _, err := p.key(p.segments[0].name); err != nil {
		return err
	}
	found := make([]found, len(segments))
	results := make([]chan looked, len(segments)) // of those that are looked into
	var queue []int
	for i := range segments {
		s := &segments[i]
		found[i].segment = s
		if i > 0 && s.indexed() == segments[i-1].indexed() {
			found[i].group = found[i-1].group
		} else {
			found[i].group = o.indexes.group(p, s)
		}
		if n, ok := slices.BinarySearchFunc(summary, s.number, func(s fmp4.Summary, n int) int { return s.Number - n }); ok {
			found[i].sum = summary[n]
			continue
		}
		results[i] = make(chan looked, 1)
		queue = append(queue, i)
	}
	room := make(chan struct{}, ahead)
	jobs := make(chan int)
	for range min(atOnce, len(queue)) {
		workers.Go(func() {
			for i := range jobs {
				results[i] <- o.lookInto(ctx, p, &segments[i])
			}
		})
	}
	workers.Go(func() {
		defer close(jobs)
		for _, i := range queue {
			select {
			case room <- struct{}{}:
				jobs <- i // a worker takes it, as each result has room
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range found {
		x := &found[i]
		var l looked
		switch {
		case results[i] != nil:
			select {
			case l = <-results[i]:
				<-room
			case <-ctx.Done():
				return ctx.Err()
			}
		case t.needs(x.segment, &x.sum):
			l = o.lookInto(ctx, p, x.segment)
		}
		if err := o.add(t, p, x, l); err != nil {
			return err
		}
	}
	return nil
}

// add adds a segment that was looked into, or of which there is a summary.
func (o *opener) add(t *track, p *piece, x *found, l looked) error {
	if errors.Is(l.err, storage.ErrNotFound) {
		o.miss(p, x.name)
		return nil
	}
	if l.err != nil {
		return l.err
	}
	key := p.dir + "/" + x.name // as p.key has it, for all of the template
	if x.tables = l.tables; x.tables != nil && !l.indexed {
		x.group = nil
	}
	o.keys = append(o.keys, key)
	x.object = int32(len(o.keys) - 1)
	if err := t.add(x); err != nil {
		return fmt.Errorf("object %q: %w", key, err)
	}
	x.tables = nil // a part has what is needed
	return nil
}

// look returns the tables of a segment: from the sample index, else from the segment.
func (o *opener) look(ctx context.Context, p *piece, s *segment) ([]fmp4.Table, error) {
	l := o.lookInto(ctx, p, s)
	return l.tables, l.err
}

// lookInto is look, which says too where the tables are from.
func (o *opener) lookInto(ctx context.Context, p *piece, s *segment) (l looked) {
	key, err := p.key(s.name)
	if err != nil {
		return looked{err: err}
	}
	if l.tables, l.indexed = o.indexed(ctx, p, s); l.indexed && !o.Check {
		return l
	}
	object, err := o.Backend.Stat(ctx, key)
	if err != nil {
		return looked{err: fmt.Errorf("look at object %q: %w", key, err)}
	}
	if l.indexed {
		return l
	}
	r := storage.NewReader(ctx, o.Backend, object)
	defer func() { _ = r.Close() }() // nothing was written
	if l.tables, err = fmp4.Tables(r, object.Size); err != nil {
		return looked{err: fmt.Errorf("read object %q: %w", key, err)}
	}
	if len(l.tables) == 0 {
		return looked{err: fmt.Errorf("read object %q: it has no samples", key)}
	}
	return l
}
