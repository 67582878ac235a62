package recording

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
)

// A recording is broken off when its node dies or storage fails. What waited for its
// place is lost, and what was not written yet, more of one track than of another.
// Players stand still where one track of a Period ends before another. So what is there
// stays, and the track that ends first is filled up to the end, as it is when a sender
// stops sending it.

// apart is how far apart the tracks of a Period may end without players standing still.
const apart = 40 * time.Millisecond

// tidy puts the media of a recording that was broken off in order: it removes empty
// segments and lets the tracks end together. An error is one of storage; tidy may then
// be called again.
func (rec *Recording) tidy() error {
	if err := rec.removeEmpty(); err != nil {
		return err
	}
	rec.journalErr = nil // of what there was before
	if err := rec.resumeTracks(); err != nil {
		return err
	}
	for i := range rec.pres.Periods {
		end, ok := rec.breaksOff(i)
		if !ok {
			continue
		}
		for _, l := range rec.missing(i, end) {
			if err := rec.extend(i, l, end); err != nil {
				rec.abort()
				return errors.Join(err, rec.note(entry{Aborted: true}, false))
			}
		}
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.waiting = waitingEntry{}
	for i := range rec.info.Tracks { // what waited was not counted yet
		t := &rec.info.Tracks[i]
		t.PacketsReceived = max(t.PacketsReceived, t.Frames)
	}
	return nil
}

// resumeTracks makes tracks that go on where those before were broken off.
func (rec *Recording) resumeTracks() error {
	for l, state := range rec.states {
		t, err := segmenter.Resume(l.Kind, l.Layer, rec.segmenterOptions(), laneOutput{rec, l}, *state)
		if err != nil {
			return err
		}
		rec.tracks[l] = t
	}
	return nil
}

// breaksOff reports whether a Period was open when its recording was broken off, and
// where it is to end. Around a boundary two Periods are open.
func (rec *Recording) breaksOff(period int) (end time.Duration, ok bool) {
	p := &rec.pres.Periods[period]
	if p.Duration > 0 || !p.HasMedia() {
		return 0, false
	}
	for i := period + 1; i < len(rec.pres.Periods); i++ {
		if next := &rec.pres.Periods[i]; next.HasMedia() {
			return next.Start, true
		}
	}
	return rec.end, true
}

// missing returns the lanes to fill: those that end before their Period does, or are
// not in it although they should be. Of simulcast layers it returns only the one that
// has most, because their segments begin together and players have the picture of
// another layer.
func (rec *Recording) missing(period int, end time.Duration) (lanes []lane) {
	p := &rec.pres.Periods[period]
	for i := range p.Sets {
		if len(p.Sets[i].Representations) == 0 {
			continue
		}
		most := slices.MaxFunc(p.Sets[i].Representations, func(a, b manifest.Representation) int {
			return cmp.Compare(endsAt(&a), endsAt(&b))
		})
		l := lane{Kind: p.Sets[i].Kind}
		if err := l.UnmarshalText([]byte(most.ID)); err != nil {
			continue // it was made from one
		}
		at, enough := rec.endIn(period, l), apart
		if !isIn(&most) {
			enough = 0 // players play nothing of a kind of which a Period has nothing
		}
		if end-at > enough && at >= rec.endOf(l) { // and not in the next already
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// isIn reports whether a lane has media in a Period.
func isIn(r *manifest.Representation) bool {
	return r.Format != nil && r.Timeline != nil && r.Timeline.Len() > 0
}

// endsAt returns where the media of a lane ends in a Period; 0 where there is none.
func endsAt(r *manifest.Representation) time.Duration {
	if !isIn(r) {
		return 0
	}
	return r.Timeline.End().Duration(r.Format.Timescale)
}

// endIn returns where a lane ends in a Period, or where it would begin if it has
// nothing there.
func (rec *Recording) endIn(period int, l lane) time.Duration {
	if end := endsAt(rec.representationIn(period, l)); end > 0 {
		return end
	}
	return max(rec.pres.Periods[period].Start, rec.endOf(l))
}

// extend fills a lane up to the end of a Period: with sound that waited for its place,
// and with silence or a picture that stands.
func (rec *Recording) extend(period int, l lane, until time.Duration) error {
	r := rec.representationIn(period, l)
	from := rec.endIn(period, l)
	var in *media.Format
	if isIn(r) {
		in = r.Format
	}
	f, data, d, ok := rec.stands(l, in)
	if !ok {
		return nil // nothing can stand there
	}
	t := rec.track(l)
	at, end := media.TicksOf(from, f.Timescale), media.TicksOf(until, f.Timescale)
	if in == nil {
		if err := rec.beginTrack(period, l, f, at); err != nil {
			return err
		}
	} else if _, err := t.Begin(f); err != nil {
		return err
	}
	var samples []segmenter.Sample
	if l.Kind == media.Audio {
		samples = rec.sound(f, at, end, segmenter.Sample{Duration: d, Data: data})
	} else {
		samples = pictures(f, at, end, data)
	}
	rec.tellFilled(l, f, samples)
	for _, s := range samples {
		s.Wall = rec.info.Start.Add(s.Time.Duration(f.Timescale))
		if err := t.Write(s); err != nil {
			return err
		}
	}
	_, err := t.End(0)
	return err
}

// sound returns the sound that waited for its place in a span of a Period, with silence
// between.
func (rec *Recording) sound(f *media.Format, at, end media.Ticks, silence segmenter.Sample) (samples []segmenter.Sample) {
	add := func(s segmenter.Sample) {
		s.Time, s.Key = at, true
		samples = append(samples, s)
		at += s.Duration
	}
	silence.Filler = true
	if f.SameInit(rec.waiting.Format) {
		for _, w := range rec.waiting.Samples {
			early := w.Duration / 2
			if n := len(samples); n > 0 && !samples[n-1].Filler {
				early = 2 * w.Duration // it was noted when less was known of its time
			}
			if w.Time < at-early || w.Duration <= 0 || w.Time+w.Duration > end+early {
				continue
			}
			for w.Time-at >= silence.Duration {
				add(silence)
			}
			if at+w.Duration/2 > end {
				break // what came before it takes its place
			}
			add(segmenter.Sample{Duration: w.Duration, Data: w.Data})
		}
	}
	for len(samples) == 0 || at+silence.Duration <= end {
		add(silence)
	}
	return samples
}

// pictures returns copies of a picture that stand in a span of a Period.
func pictures(f *media.Format, at, end media.Ticks, data []byte) (samples []segmenter.Sample) {
	for at < end {
		d := standing(end-at, f.Timescale)
		samples = append(samples, segmenter.Sample{Time: at, Duration: d, Key: true, Filler: true, Data: data})
		at += d
	}
	return samples
}

// tellFilled notes gaps for the fillers among samples.
func (rec *Recording) tellFilled(l lane, f *media.Format, samples []segmenter.Sample) {
	for i := 0; i < len(samples); i++ {
		if !samples[i].Filler {
			continue
		}
		from := samples[i].Time.Duration(f.Timescale)
		for i+1 < len(samples) && samples[i+1].Filler {
			i++
		}
		to := (samples[i].Time + samples[i].Duration).Duration(f.Timescale)
		rec.gap(l, from, to-from, causeNode, true)
	}
}

// standing returns how long the next copy of a picture lasts, when it is to stand for
// left. Players show what comes after a long copy too early, and some end a Period
// where its last picture begins. So copies are short.
func standing(left media.Ticks, rate uint32) media.Ticks {
	longest, last := media.TicksOf(time.Second, rate), media.TicksOf(200*time.Millisecond, rate)
	switch {
	case left <= 2*last:
		return left
	case left <= longest+last:
		return left - last
	}
	return longest
}

// stands returns what can fill a lane whose format in the Period is f (nil for none):
// silence, the last key frame, or a neutral picture if there was none.
func (rec *Recording) stands(l lane, f *media.Format) (format *media.Format, data []byte, d media.Ticks, ok bool) {
	before := f
	switch s := rec.states[l]; {
	case f != nil:
	case l.Kind == media.Audio && len(rec.waiting.Samples) > 0:
		before = rec.waiting.Format
	case s != nil && s.Number > 0:
		before = rec.representation(l, s.Number).Format
	}
	if before != nil && l.Kind == media.Video {
		if data, ok = rec.lastKey(l, before); ok {
			return before, data, 0, true
		}
	}
	c, ok := codec.Lookup(rec.codecOf(l, before))
	if !ok {
		return nil, nil, 0, false
	}
	unit, ok := c.Neutral(media.Track{Kind: l.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels})
	switch {
	case !ok, f != nil && l.Kind == media.Video && !f.Equal(unit.Format):
		return nil, nil, 0, false
	case before != nil && l.Kind == media.Audio:
		return before, unit.Data, unit.Duration, true
	}
	return unit.Format, unit.Data, unit.Duration, true
}

// codecOf returns the codec of what fills a lane, which had format f before.
func (rec *Recording) codecOf(l lane, f *media.Format) string {
	rec.mu.Lock()
	announced := rec.ledger(l).Codec
	rec.mu.Unlock()
	switch {
	case f != nil:
		return f.Codec
	case announced != "":
		return announced
	case l.Kind == media.Video:
		return "H264" // what was announced is not known any more; every player has it
	}
	return "opus"
}

// keyTries is how many segments are searched for a key frame. Some begin without one,
// if a sender ignores requests.
const keyTries = 16

// lastKey returns the newest key frame that begins a segment of a lane, if it has
// format f.
func (rec *Recording) lastKey(l lane, f *media.Format) ([]byte, bool) {
	last := rec.states[l].Number
	for number := last; number > max(0, last-keyTries); number-- {
		rep := rec.representation(l, number)
		if rep == nil || !rep.Format.SameInit(f) {
			return nil, false
		}
		if data, ok := rec.firstKey(media.SegmentName(rep.Media, number)); ok {
			return data, true
		}
	}
	return nil, false
}

// firstKey returns the key frame with which a segment begins.
func (rec *Recording) firstKey(name string) ([]byte, bool) {
	ctx, cancel := rec.timeout()
	defer cancel()
	object, err := rec.store().Stat(ctx, path.Join(rec.dir, name))
	if err != nil {
		return nil, false
	}
	body := storage.NewReader(ctx, rec.store(), object)
	defer func() { _ = body.Close() }() // it was read
	return segmenter.FirstKey(name, body, object.Size)
}
