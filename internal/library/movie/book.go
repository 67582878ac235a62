package movie

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// StandReason is in the reason of a recording's verdict when something stands for what
	// storage has lost.
	StandReason = "the storage has lost segments, for which others stand"
	// maxGaps is how many gaps are listed of a track.
	maxGaps = 1000
)

// Book notes in the ledger and the verdict of a recording that segments are lost, and that
// others stand for them. It returns what the recording is then, and whether that is new.
func Book(r media.Recording, lost []Lost) (booked media.Recording, changed bool) {
	r.Tracks = slices.Clone(r.Tracks)
	for i := range r.Tracks {
		t := &r.Tracks[i]
		id := t.Kind
		if t.Layer > 0 {
			id = fmt.Sprintf("%s-%d", t.Kind, t.Layer+1)
		}
		for j := range lost {
			if l := &lost[j]; l.Track == id && !l.isBooked(t) {
				l.book(t)
				changed = true
			}
		}
	}
	if !changed {
		return r, false
	}
	if r.Status == media.StatusComplete {
		r.Status = media.StatusDegraded
	}
	if !strings.Contains(r.Reason, StandReason) {
		r.Reason = strings.TrimPrefix(r.Reason+"; "+StandReason, "; ")
	}
	return r, true
}

// isBooked reports whether a track's ledger has the segment as lost, or has no room for it.
func (l *Lost) isBooked(t *media.RecordingTrack) bool {
	return len(t.Gaps) >= maxGaps || slices.ContainsFunc(t.Gaps, func(g media.Gap) bool {
		from := time.Duration(g.Start * float64(time.Second))
		to := from + time.Duration(g.Duration*float64(time.Second))
		return g.Cause == media.CauseStorage && from <= l.From+time.Millisecond && to >= l.To-time.Millisecond
	})
}

// book books the segment's time of a track as filled because the storage has lost it. What
// was filled in that time before is that no more.
func (l *Lost) book(t *media.RecordingTrack) {
	from, to := l.From, l.To
	taken := 0.0 // seconds that were filled
	var gaps []media.Gap
	keep := func(g media.Gap, from, to time.Duration) {
		if to > from {
			g.Start, g.Duration = from.Seconds(), (to - from).Seconds()
			gaps = append(gaps, g)
		}
	}
	for _, g := range t.Gaps {
		a := time.Duration(g.Start * float64(time.Second))
		b := time.Duration((g.Start + g.Duration) * float64(time.Second))
		if !g.Filled || b <= from || a >= to {
			gaps = append(gaps, g)
			continue
		}
		taken += (min(b, to) - max(a, from)).Seconds()
		keep(g, a, min(b, from))
		keep(g, max(a, to), b)
	}
	keep(media.Gap{Cause: media.CauseStorage, Filled: true}, from, to)
	slices.SortFunc(gaps, func(a, b media.Gap) int { return cmp.Compare(a.Start, b.Start) })
	t.Gaps = gaps[:min(len(gaps), maxGaps)]
	if d := (to - from).Seconds() - taken; t.MediaSeconds+t.FilledSeconds+t.GapSeconds > 0 {
		t.FilledSeconds += d
		t.MediaSeconds -= d
	}
}

// IsBooked reports whether a recording is what another one was before more segments of it
// were booked as lost.
func IsBooked(booked, before media.Recording) bool {
	lost := func(r media.Recording) (n int) {
		for i := range r.Tracks {
			for _, g := range r.Tracks[i].Gaps {
				if g.Cause == media.CauseStorage {
					n++
				}
			}
		}
		return n
	}
	return lost(booked) > lost(before) && booked.Stream == before.Stream && booked.Duration == before.Duration && booked.Bytes == before.Bytes
}
