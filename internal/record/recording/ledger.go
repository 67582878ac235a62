package recording

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// ledgerShare bounds what the ledgers in the journal may cost while recording:
// 1/ledgerShare of the media.
const ledgerShare = 100

// maxDiscards bounds the causes that are counted apart, because each session has causes
// of its own. The rest is counted as otherDiscards.
const (
	maxDiscards   = 32
	otherDiscards = "other causes"
)

// countsWith returns the counters of a lane's ledger with a segment that has been
// closed. Its frames are those that are stored.
func (rec *Recording) countsWith(l lane, s media.Segment) counts {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	c := countsOf(rec.ledger(l))
	c.Frames = rec.closed[l] + s.Frames
	return c
}

// ledger returns the recording's entry for a lane. Called with mu held.
func (rec *Recording) ledger(l lane) *media.RecordingTrack {
	for i := range rec.info.Tracks {
		if t := &rec.info.Tracks[i]; t.Kind == l.Kind.String() && t.Layer == l.Layer {
			return t
		}
	}
	rec.info.Tracks = append(rec.info.Tracks, media.RecordingTrack{Kind: l.Kind.String(), Layer: l.Layer})
	return &rec.info.Tracks[len(rec.info.Tracks)-1]
}

// lists reports whether the ledger has a lane: it was announced, or is recorded.
func (rec *Recording) lists(l lane) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.ContainsFunc(rec.info.Tracks, func(t media.RecordingTrack) bool { return laneOf(&t) == l })
}

// gap notes a span without media of its own in a lane's ledger.
func (rec *Recording) gap(l lane, start, duration time.Duration, cause string, filled bool) {
	g := media.Gap{Start: Seconds(start), Duration: Seconds(duration), Cause: cause, Filled: filled}
	rec.keep(rec.note(entry{Gap: &gapEntry{l, g}}, false))
}

// CountOverrun counts packets that were dropped before they could be recorded.
func (rec *Recording) CountOverrun(packets int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.info.PacketsOverrun += int64(packets)
}

// CountDiscarded counts packets that were no part of a track.
func (rec *Recording) CountDiscarded(d media.Discard) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	of := func(cause string) int {
		return slices.IndexFunc(rec.info.Discarded, func(o media.Discard) bool { return o.Cause == cause })
	}
	i := of(d.Cause)
	if i < 0 && len(rec.info.Discarded) >= maxDiscards-1 {
		d.Cause = otherDiscards
		i = of(d.Cause)
	}
	if i < 0 {
		rec.info.Discarded = append(rec.info.Discarded, d)
		return
	}
	rec.info.Discarded[i].Packets += d.Packets
}

// Update changes a lane's ledger entry.
func (rec *Recording) Update(l lane, change func(*media.RecordingTrack)) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	change(rec.ledger(l))
}

// NoteLedger writes the ledger to the journal, so that a crash does not lose it, if
// there is so much new media that this stays a small share, or tracks are new in it.
func (rec *Recording) NoteLedger() error {
	info := rec.Snapshot()
	if rec.journal == nil || rec.noted*ledgerShare > info.Bytes && len(info.Tracks) == rec.notedTracks {
		return nil
	}
	rec.noted += int64(len(encodeInfo(info)))
	rec.notedTracks = len(info.Tracks)
	return rec.write(entry{Info: &info}, false)
}

// NoteTracks is NoteLedger after tracks were announced. If it fails, the next segment does.
func (rec *Recording) NoteTracks() { rec.keep(rec.NoteLedger()) }
