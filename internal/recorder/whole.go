package recorder

import (
	"context"
	"path"
	"time"

	"github.com/live777/recorder/internal/codec"
	"github.com/live777/recorder/internal/fmp4"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/segmenter"
	"github.com/live777/recorder/internal/storage"
)

// resumeTracks makes the tracks of what a crash has left, with which it goes on.
func (o *orphan) resumeTracks() error {
	for l, state := range o.states {
		t, err := segmenter.Resume(l.Kind, l.Layer, o.r.segmenterOptions(), laneOutput{o.recording, l}, *state)
		if err != nil {
			return err
		}
		o.tracks[l] = t
	}
	return nil
}

// makeWhole lets the tracks of the Period in which the node died end together, as they
// do where it has not: what waited for its place is gone with it, and players stand
// still where one track ends before another. It is better to have what there is than
// not to be started: what fails is logged.
func (o *orphan) makeWhole(ctx context.Context) {
	n := len(o.pres.Periods) - 1
	if n < 0 || o.holed {
		return
	}
	for _, l := range o.missing(n) {
		if err := o.extend(ctx, n, l); err != nil {
			o.r.log.Error("the last period of a recording is not whole", "record_dir", o.dir, "track", l.String(), "error", err)
		}
	}
}

// missing returns the lanes that end in a Period before others do, or are not in it
// although they should be.
func (o *orphan) missing(period int) (lanes []lane) {
	p := &o.pres.Periods[period]
	for i := range p.Sets {
		in := false // one of them is in it
		for j := range p.Sets[i].Representations {
			in = in || p.Sets[i].Representations[j].Format != nil
		}
		for j := range p.Sets[i].Representations {
			r := &p.Sets[i].Representations[j]
			l := lane{Kind: p.Sets[i].Kind}
			if err := l.UnmarshalText([]byte(r.ID)); err != nil {
				continue // it was made from one
			}
			if r.Format == nil && (in || j > 0) {
				continue // a layer that did not come to it
			}
			if end := o.endIn(period, l); o.end-end > edge {
				lanes = append(lanes, l)
			}
		}
	}
	return lanes
}

// endIn returns where a lane ends in a Period.
func (o *orphan) endIn(period int, l lane) time.Duration {
	r := o.representationIn(period, l)
	if r.Format == nil || r.Timeline == nil || r.Timeline.Len() == 0 {
		return o.pres.Periods[period].Start
	}
	return r.Timeline.End().Duration(r.Format.Timescale)
}

// extend writes silence, or a picture that lasts, up to the end of a Period.
func (o *orphan) extend(ctx context.Context, period int, l lane) error {
	r := o.representationIn(period, l)
	from := o.endIn(period, l)
	f, data, d, ok := o.stands(ctx, l, r.Format)
	if !ok {
		return nil // nothing can stand there
	}
	t := o.track(l)
	if r.Format == nil {
		if err := o.beginTrack(period, l, f, media.TicksOf(from, f.Timescale)); err != nil {
			return err
		}
	} else if _, err := t.Begin(f); err != nil {
		return err
	}
	at, end := media.TicksOf(from, f.Timescale), media.TicksOf(o.end, f.Timescale)
	if l.Kind == media.Video {
		d = end - at
	}
	for ; at+d <= end; at += d {
		s := segmenter.Sample{Time: at, Duration: d, Key: true, Data: data, Wall: o.info.Start.Add(at.Duration(f.Timescale))}
		if err := t.Write(s); err != nil {
			return err
		}
	}
	if _, err := t.End(0); err != nil {
		return err
	}
	state := o.state(l)
	state.Format = f
	o.gap(l, from, at.Duration(f.Timescale)-from, causeNode, true)
	return nil
}

// stands returns what can stand in a lane: silence, the last key frame, or a neutral
// picture where there was none.
func (o *orphan) stands(ctx context.Context, l lane, f *media.Format) (format *media.Format, data []byte, d media.Ticks, ok bool) {
	name := o.ledger(l).Codec
	switch {
	case f != nil:
		name = f.Codec
	case name == "" && l.Kind == media.Video:
		name = "H264" // what was announced is not known any more; every player has it
	case name == "":
		name = "opus"
	}
	c, ok := codec.Lookup(name)
	if !ok {
		return nil, nil, 0, false
	}
	if f != nil && l.Kind == media.Video {
		if data, ok = o.lastKey(ctx, l); ok {
			return f, data, 0, true
		}
	}
	unit, ok := c.Neutral(media.Track{Kind: l.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels})
	switch {
	case !ok, f != nil && l.Kind == media.Video && !f.Equal(unit.Format):
		return nil, nil, 0, false
	case f == nil:
		f = unit.Format
	}
	return f, unit.Data, unit.Duration, true
}

// lastKey returns the key frame with which the last segment of a lane begins.
func (o *orphan) lastKey(ctx context.Context, l lane) ([]byte, bool) {
	number := o.states[l].Number
	rep := o.representation(l, number)
	if rep == nil {
		return nil, false
	}
	name := segmenter.SegmentName(rep.Media, number)
	object, err := o.r.o.Store.Stat(ctx, path.Join(o.dir, name))
	if err != nil {
		return nil, false
	}
	body := storage.NewReader(ctx, o.r.o.Store, object)
	defer func() { _ = body.Close() }() // it was read
	return fmp4.FirstKey(body, object.Size)
}
