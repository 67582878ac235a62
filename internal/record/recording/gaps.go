package recording

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
)

// maxGaps bounds a track's list of gaps. The sums are exact in any case.
const maxGaps = 1000

// filling is how much of a lane's time is filled.
type filling struct {
	sum    float64   // seconds
	last   media.Gap // which another may replace
	listed bool      // in the ledger
}

// applyGap puts a gap into a lane's ledger. Called with mu held.
func (rec *Recording) applyGap(l lane, g media.Gap) {
	t, f := rec.ledger(l), rec.filled[l]
	if f == nil {
		f = &filling{}
		rec.filled[l] = f
	}
	if f.last.Duration > 0 && f.last.Start == g.Start {
		if f.last.Filled {
			f.sum -= f.last.Duration
		}
		if f.listed {
			t.Gaps = t.Gaps[:len(t.Gaps)-1]
		}
	}
	if n := len(t.Gaps); n > 0 && g.Filled && g.Cause == causeNode && !t.Gaps[n-1].Filled {
		// What was to come after a hole has not been stored.
		if t.Gaps[n-1].Duration = roundMilli(min(t.Gaps[n-1].Duration, g.Start-t.Gaps[n-1].Start)); t.Gaps[n-1].Duration <= 0 {
			t.Gaps = t.Gaps[:n-1]
		}
	}
	f.last, f.listed = g, len(t.Gaps) < maxGaps
	if g.Filled {
		f.sum += g.Duration
	}
	if f.listed {
		t.Gaps = append(t.Gaps, g)
	}
}

// applyAborted removes from the ledger what it says of media that was to be written and
// was not. Called with mu held.
func (rec *Recording) applyAborted() {
	for i := range rec.info.Tracks {
		t := &rec.info.Tracks[i]
		l := laneOf(t)
		t.Frames = rec.closed[l]
		t.PacketsReceived = max(t.PacketsReceived, t.Frames) // each came in one at least
		if s := rec.states[l]; s != nil && s.Number > 0 {
			describe(t, rec.representation(l, s.Number).Format)
			forget(t)
		}
		f, gaps := rec.filled[l], t.Gaps
		t.Gaps = nil
		for _, g := range gaps {
			was := g.Duration
			if g = rec.clip(l, g); g.Filled && f != nil {
				f.sum -= was - max(g.Duration, 0)
			}
			if g.Duration > 0 {
				t.Gaps = append(t.Gaps, g)
			}
		}
		if f != nil { // one that starts where the last one does replaces it still
			f.last, f.listed = media.Gap{}, len(t.Gaps) > 0
			if f.listed {
				f.last = t.Gaps[len(t.Gaps)-1]
			}
		}
	}
}

// describe puts the format of a track into its ledger.
func describe(t *media.RecordingTrack, f *media.Format) {
	t.Codec, t.RFC6381, t.Width, t.Height, t.Recorded = f.Codec, f.RFC6381, f.Width, f.Height, true
}

// clip shortens a gap to what is there: a filled one ends where the lane does, a hole
// where the recording does. Called with mu held.
func (rec *Recording) clip(l lane, g media.Gap) media.Gap {
	end := rec.end
	if g.Filled {
		end = rec.endOf(l)
	}
	g.Duration = roundMilli(min(g.Duration, Seconds(end)-g.Start))
	return g
}

// endOf returns where the last segment of a lane ends. Called with mu held.
func (rec *Recording) endOf(l lane) time.Duration {
	if s := rec.states[l]; s != nil && s.Number > 0 {
		return s.Written.Duration(s.Format.Timescale)
	}
	return 0
}

// edge is how much a lane may lack at the ends of a Period without a gap in the ledger:
// a frame and a packet.
const edge = 100 * time.Millisecond

// total sums up, for each lane, how much of the recording is media, filled or missing,
// in a copy of its ledger. Called with mu held.
func (rec *Recording) total(ledger []media.RecordingTrack) {
	for i := range ledger {
		t := &ledger[i]
		l := laneOf(t)
		missing := 0.0
		for _, h := range rec.holes(l, 0) {
			if h.end-h.start > edge || tells(t.Gaps, h) {
				missing += Seconds(h.end - h.start)
			}
		}
		t.GapSeconds = roundMilli(missing)
		t.KeyFrameWait = roundMilli(t.KeyFrameWait)
		t.FilledSeconds = 0
		if f := rec.filled[l]; f != nil {
			t.FilledSeconds = roundMilli(min(f.sum, max(rec.info.Duration-t.GapSeconds, 0)))
		}
		t.MediaSeconds = roundMilli(rec.info.Duration - t.GapSeconds - t.FilledSeconds)
	}
}

// laneOf returns the lane of a track's ledger.
func laneOf(t *media.RecordingTrack) lane {
	if t.Kind == media.Audio.String() {
		return lane{Kind: media.Audio}
	}
	return lane{Kind: media.Video, Layer: t.Layer}
}

// span is a span of media time.
type span struct{ start, end time.Duration }

// tells reports whether one of the gaps, which are in the order of time, covers a hole.
func tells(gaps []media.Gap, h span) bool {
	for _, g := range gaps {
		if g.Start >= Seconds(h.end) {
			return false
		}
		if !g.Filled && g.Start+g.Duration > Seconds(h.start) {
			return true
		}
	}
	return false
}

// holes returns where a lane has no segments for longer than least. Called with mu held.
func (rec *Recording) holes(l lane, least time.Duration) []span {
	var holes []span
	at := time.Duration(0)
	for i := range rec.pres.Periods {
		for _, set := range rec.pres.Periods[i].Sets {
			for k := range set.Representations {
				r := &set.Representations[k]
				if r.ID != l.String() || r.Format == nil || r.Timeline == nil || r.Timeline.Len() == 0 {
					continue
				}
				if start := r.Timeline.Start().Duration(r.Format.Timescale); start-at > least {
					holes = append(holes, span{at, start})
				}
				at = max(at, r.Timeline.End().Duration(r.Format.Timescale))
			}
		}
	}
	if rec.end-at > least {
		holes = append(holes, span{at, rec.end})
	}
	return holes
}

// bookHoles adds the holes to the ledger that nothing has told of: a crash or a failure
// of storage came before, or a layer never came to the Period. Holes that it has added
// before may have been filled since. Called with mu held, at the end.
func (rec *Recording) bookHoles(failed bool) {
	for i := range rec.info.Tracks {
		t := &rec.info.Tracks[i]
		t.Gaps = slices.DeleteFunc(t.Gaps, func(g media.Gap) bool { return g.Cause == causeNode && !g.Filled })
		l := laneOf(t)
		brokenOff := rec.info.Recovered > 0 || failed // what was counted last may be missing
		if !t.Recorded && (t.RID == "" || t.PacketsReceived == 0 && !brokenOff) {
			continue // the verdict says it, or it is a layer that was never sent
		}
		cause := causeNode
		switch {
		case brokenOff:
		case l.Kind == media.Video && t.RID != "":
			cause = arrange.CauseLayer
		default:
			cause = arrange.CauseAbsent
		}
		for _, h := range rec.holes(l, edge) {
			rec.bookHole(t, h, cause)
		}
	}
}

// causeNode is the cause of a gap that the node made: it died, or its storage failed.
const causeNode = "node"

// bookHole lists the part of a hole that no gap of the ledger covers.
func (rec *Recording) bookHole(t *media.RecordingTrack, h span, cause string) {
	at := Seconds(h.start)
	var missing []media.Gap
	for _, g := range t.Gaps { // by time
		if g.Filled || g.Start+g.Duration <= at {
			continue
		}
		if g.Start >= Seconds(h.end) {
			break
		}
		if g.Start > at {
			missing = append(missing, media.Gap{Start: at, Duration: roundMilli(g.Start - at), Cause: cause})
		}
		at = max(at, g.Start+g.Duration)
	}
	if end := Seconds(h.end); end > at {
		missing = append(missing, media.Gap{Start: at, Duration: roundMilli(end - at), Cause: cause})
	}
	for _, g := range missing {
		if g.Duration < edge.Seconds() || len(t.Gaps) >= maxGaps {
			continue
		}
		i, _ := slices.BinarySearchFunc(t.Gaps, g.Start, func(g media.Gap, at float64) int { return cmp.Compare(g.Start, at) })
		t.Gaps = slices.Insert(t.Gaps, i, g)
	}
}

// roundMilli rounds seconds to the millisecond.
func roundMilli(s float64) float64 { return Seconds(time.Duration(s * float64(time.Second))) }
