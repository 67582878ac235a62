package movie

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

const (
	// atOnce is how many segments are looked into at the same time.
	atOnce = 8
	// maxInit is the longest init segment that is read, in bytes.
	maxInit = 1 << 20
	// maxSegments bounds what a broken manifest can make us do, for each track: a day
	// of segments of a second.
	maxSegments = 86_400
)

// Open makes the file of the recording in folder dir, by its manifest: the best
// Representation of each kind, from the first to the last segment that is named. Segments
// that the storage has lost are left out; the last picture before lasts for as long, and
// missing names them. A recording that cannot be one file is a fault.Conflict that says
// why, one without media a fault.NotFound.
func Open(ctx context.Context, b storage.Backend, dir string, manifest []byte, title Title) (m *Movie, missing []string, err error) {
	presentation, err := mpd.ReadFromString(string(manifest))
	if err != nil {
		return nil, nil, fmt.Errorf("read the manifest: %w", err)
	}
	o := &opener{backend: b, dir: dir}
	var tracks []*track
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		parts, err := choose(presentation, kind)
		if err != nil {
			return nil, nil, err
		}
		t, err := o.track(ctx, kind, parts)
		if err != nil {
			return nil, nil, err
		}
		if t != nil && len(t.chunks) > 0 {
			tracks = append(tracks, t)
		}
	}
	if title.Start, err = time.Parse(time.RFC3339Nano, string(presentation.AvailabilityStartTime)); err != nil {
		return nil, nil, fmt.Errorf("read the manifest: availabilityStartTime: %w", err)
	}
	title.Start = title.Start.Add(time.Duration(earliest(tracks)))
	if len(o.missing) > 0 {
		title.Comment = strings.TrimSpace(title.Comment + "\nLost by the storage: " + strings.Join(o.missing, ", "))
	}
	m, err = layOut(tracks, o.keys, title)
	return m, o.missing, err
}

// part is the segments of a track in one Period.
type part struct {
	init  string
	names []string // of the segments
}

// choose returns the parts of the Representation of a kind with the most to see, which is
// the same in all Periods that have it.
func choose(m *mpd.MPD, kind media.Kind) ([]part, error) {
	var best *mpd.RepresentationType
	for _, p := range m.Periods {
		if r := representation(p, kind, ""); r != nil && (best == nil || pixels(r) > pixels(best)) {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	var parts []part
	for _, p := range m.Periods {
		r := representation(p, kind, best.Id)
		if r == nil {
			continue
		}
		if !strings.HasSuffix(r.GetMimeType(), "/mp4") {
			return nil, fault.Errorf(fault.Conflict, "its %s is %s (%s), which is recorded as WebM and cannot be put into an MP4 file", kind, r.GetCodecs(), r.GetMimeType())
		}
		names, err := segments(r)
		if err != nil {
			return nil, err
		}
		init, err := r.GetInit()
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		parts = append(parts, part{init: init, names: names})
	}
	return parts, nil
}

// representation returns that of a Period with an id, else the best of its kind there, nil
// if there is none with segments.
func representation(p *mpd.Period, kind media.Kind, id string) (best *mpd.RepresentationType) {
	for _, set := range p.AdaptationSets {
		for _, r := range set.Representations {
			switch {
			case kindOf(r) != kind.String() || !hasSegments(r):
			case r.Id == id:
				return r
			case best == nil || pixels(r) > pixels(best):
				best = r
			}
		}
	}
	return best
}

func kindOf(r *mpd.RepresentationType) string {
	kind, _, _ := strings.Cut(r.GetMimeType(), "/")
	return kind
}

func pixels(r *mpd.RepresentationType) int64 { return int64(r.Width) * int64(r.Height) }

func hasSegments(r *mpd.RepresentationType) bool {
	t := r.GetSegmentTemplate()
	return t != nil && t.SegmentTimeline != nil && len(t.SegmentTimeline.S) > 0
}

// segments returns the names of a Representation's segments.
func segments(r *mpd.RepresentationType) ([]string, error) {
	t := r.GetSegmentTemplate()
	template, err := r.GetMedia()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if !strings.Contains(template, media.NumberField) {
		return nil, fmt.Errorf("read the manifest: the template %q has no %s", template, media.NumberField)
	}
	number := 1
	if t.StartNumber != nil {
		number = int(*t.StartNumber)
	}
	var names []string
	for _, s := range t.SegmentTimeline.S {
		if s.R < 0 || s.R >= maxSegments-len(names) {
			return nil, fmt.Errorf("read the manifest: it repeats a segment %d times", s.R)
		}
		for range s.R + 1 {
			names = append(names, media.SegmentName(template, number))
			number++
		}
	}
	return names, nil
}

// opener reads the segments of a recording.
type opener struct {
	backend storage.Backend
	dir     string
	keys    []string // of the segments
	missing []string // names of those that are not there
}

// track returns the track of parts, nil if there is none.
func (o *opener) track(ctx context.Context, kind media.Kind, parts []part) (*track, error) {
	var t *track
	for _, p := range parts {
		init, err := o.read(ctx, p.init)
		if err != nil {
			return nil, err
		}
		if t == nil {
			t, err = newTrack(kind, init)
		} else {
			err = t.begin(init)
		}
		if err != nil {
			return nil, fmt.Errorf("object %q: %w", path.Join(o.dir, p.init), err)
		}
		if err := o.segments(ctx, t, p.names); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// read returns the content of a small object.
func (o *opener) read(ctx context.Context, name string) ([]byte, error) {
	key, err := o.key(name)
	if err != nil {
		return nil, err
	}
	r, err := o.backend.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("open object %q: %w", key, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxInit))
	if err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	return data, nil
}

// key returns the key of an object that the manifest names: one in the same folder.
func (o *opener) key(name string) (string, error) {
	if !media.IsObjectName(name) {
		return "", fmt.Errorf("read the manifest: it names %q, which is no object of a recording", name)
	}
	return path.Join(o.dir, name), nil
}

// looked is what is known of a segment.
type looked struct {
	tables []fmp4.Table
	err    error
}

// segments adds segments to a track, which are looked into a few at a time and added in
// their order.
func (o *opener) segments(ctx context.Context, t *track, names []string) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	results := make([]chan looked, len(names))
	for i := range results {
		results[i] = make(chan looked, 1)
	}
	queue := make(chan int)
	for range min(atOnce, len(names)) {
		workers.Go(func() {
			for i := range queue {
				tables, err := o.look(ctx, names[i])
				results[i] <- looked{tables, err}
			}
		})
	}
	workers.Go(func() {
		defer close(queue)
		for i := range names {
			select {
			case queue <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for i, name := range names {
		var l looked
		select {
		case l = <-results[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(l.err, storage.ErrNotFound) {
			o.missing = append(o.missing, name)
			continue
		}
		if l.err != nil {
			return l.err
		}
		o.keys = append(o.keys, path.Join(o.dir, name))
		if err := t.add(int32(len(o.keys)-1), l.tables); err != nil {
			return fmt.Errorf("object %q: %w", path.Join(o.dir, name), err)
		}
	}
	return nil
}

// look returns the tables of a segment.
func (o *opener) look(ctx context.Context, name string) ([]fmp4.Table, error) {
	key, err := o.key(name)
	if err != nil {
		return nil, err
	}
	object, err := o.backend.Stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("look at object %q: %w", key, err)
	}
	r := storage.NewReader(ctx, o.backend, object)
	defer func() { _ = r.Close() }() // nothing was written
	tables, err := fmp4.Tables(r, object.Size)
	if err != nil {
		return nil, fmt.Errorf("read object %q: %w", key, err)
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("read object %q: it has no samples", key)
	}
	return tables, nil
}
