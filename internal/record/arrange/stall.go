package arrange

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Some senders' sound stands still now and then, and its timestamps with it: a browser
// on a busy machine makes no samples meanwhile, and counts samples. What comes
// afterwards seems to be from before. That is also so with what a network has held up,
// but that comes faster than it was made. So sound after such a pause waits until it
// has shown which it is.

const (
	// stallMin is how far sound has to be behind after a pause for this to be looked
	// into. Of less, reports tell soon enough.
	stallMin = 400 * time.Millisecond
	// stallTime is how long the sound after a pause is watched, or longer until
	// stallTold of it has come, because missing packets may hold it up. If that has not
	// come within stallMost, nothing can be told: the few packets that came may have
	// been sent again.
	stallTime = time.Second
	stallTold = 300 * time.Millisecond
	stallMost = 3 * time.Second
)

// stall is a pause after which sound is further behind the clock than before.
type stall struct {
	ts     int64     // of the first packet after it
	at     time.Time // when that came
	noted  time.Time // when it was seen: it may have waited for others
	behind time.Duration
}

// noteStall checks whether a packet of sound comes after a stall. It is called before
// the packet is observed.
func (a *Arranger) noteStall(s *source, f *media.Frame) {
	if s.Kind != media.Audio || !s.seen || s.resync || s.stall != nil || a.cur == nil {
		return
	}
	behind := f.Arrival.Sub(s.lastArrival) - s.lane.duration(media.Ticks(f.Timestamp-s.last))
	if f.Timestamp < s.last || behind < stallMin || !a.heardBeside(s, s.lastArrival.Add(behind/2)) {
		return
	}
	s.stall = &stall{ts: f.Timestamp, at: f.Arrival, noted: a.now, behind: a.pub.time.Late(s.ID, f.Timestamp, f.Arrival)}
}

// heardBeside reports whether another track has had something since a time. If none
// had, the network or this process has stood still.
func (a *Arranger) heardBeside(s *source, since time.Time) bool {
	return slices.ContainsFunc(a.pub.sources, func(o *source) bool { return o != s && o.prevArrival.After(since) })
}

// isInStall reports whether a packet comes after a stall that is not decided yet.
func (s *source) isInStall(f *media.Frame) bool { return s.stall != nil && f.Timestamp >= s.stall.ts }

// isRefuted reports whether the sound after a stall catches up, or a report says that its
// clock has not stood still.
func (a *Arranger) isRefuted(s *source) bool {
	st := s.stall
	caughtUp := s.lane.duration(media.Ticks(s.last-st.ts)) - s.lastArrival.Sub(st.at)
	return caughtUp >= min(st.behind/2, stallTold) ||
		a.drift(s, st.ts) < stallMin/2 && a.pub.time.Denies(s.ID, st.ts, st.at, stallMin/2)
}

// settleStall decides about a stall, if it is time. Sound that does not catch up goes
// on where the clock says.
func (a *Arranger) settleStall(s *source, force bool) {
	st := s.stall
	if st == nil {
		return
	}
	came := s.lane.duration(media.Ticks(s.last - st.ts))
	waited := a.now.Sub(st.noted)
	if a.isRefuted(s) || came < stallTold && (force || waited >= stallMost) { // or nothing tells
		s.stall = nil
		return
	}
	if !force && (waited < stallTime || came < stallTold) {
		return
	}
	s.stall = nil
	i := slices.IndexFunc(s.held, func(h held) bool { return h.Timestamp >= st.ts })
	if i < 0 {
		return // a boundary has placed it
	}
	rest := slices.Clone(s.held[i:])
	s.held = s.held[:i]
	behind := st.behind
	for _, h := range rest {
		behind = min(behind, a.pub.time.Late(s.ID, h.Timestamp, h.Arrival))
	}
	if known := a.drift(s, st.ts); known > behind/2 { // a report has told already
		if a.cur != nil {
			a.place(s, func(*media.Frame) bool { return true })
		}
		s.t0 += s.lane.ticks(known)
	} else {
		a.goOnLater(s, st.ts, behind)
	}
	s.held = append(s.held, rest...)
}

// followSlip lets the sound go on later with a packet, if its clock has stood still
// many times, each too short to be a stall.
func (a *Arranger) followSlip(s *source, f *media.Frame) {
	if s.Kind != media.Audio || !s.placed || s.stall != nil {
		return
	}
	if behind := a.pub.time.Slipped(s.ID); behind > 0 && a.drift(s, f.Timestamp) < behind/2 {
		a.goOnLater(s, f.Timestamp, behind)
	}
}

// goOnLater lets the sound go on with a timestamp at a later place than it says.
func (a *Arranger) goOnLater(s *source, ts int64, by time.Duration) {
	a.tellStill(s, by)
	from := ts + int64(s.lane.ticks(by))
	s.goOnAt(from, ts)
	a.pub.time.Slip(s.ID, from, ts)
}

// tellStill logs that the sender's sound has stood still.
func (a *Arranger) tellStill(s *source, by time.Duration) {
	level := slog.LevelWarn
	if s.stalled {
		level = slog.LevelDebug // once is enough
	}
	s.stalled = true
	a.o.Log.Log(context.Background(), level, "the sender's sound stood still, and its timestamps with it", "for", by.Round(time.Millisecond))
}
