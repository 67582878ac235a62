package recorder

import (
	"time"

	"github.com/live777/recorder/internal/live"
	"github.com/live777/recorder/internal/media"
)

// A process that stood still (a machine that slept, or had no time) finds at once what
// came meanwhile, and sees all of it arrive when it goes on. Clocks, pauses and first
// places are told by arrivals. So what comes then is kept for a moment, until it is known
// what comes in time, and given the arrivals that it would have had.

const (
	// stoodStill is from when on a time in which neither anything came nor a clock was
	// looked at is one in which the process stood still.
	stoodStill = time.Second
	// wakeTime is for how long what comes after it is kept: until the sockets are empty,
	// and each track that is still sent has had something; wakeReads is the same where the
	// clock does not go on.
	wakeTime  = 500 * time.Millisecond
	wakeReads = int(wakeTime/readTimeout) + 1
	// maxWaking bounds the items that are kept: with more they are recorded at once.
	maxWaking = 10_000
	// reportHeld is from when on a report that was held up says nothing: how much later
	// than its frames it came is not known.
	reportHeld = 250 * time.Millisecond
)

// waking is what has come since the process went on.
type waking struct {
	from  time.Time // when something was last seen before it stood still
	since time.Time // when it went on
	idle  int       // times that nothing came
	items []live.Item
}

// deal records what has come, or keeps it. last: nothing more will come.
func (s *session) deal(items []live.Item, last bool) {
	for i := range items {
		if !s.keeps(&items[i]) {
			s.record(&items[i])
		}
	}
	if len(items) == 0 {
		s.look(s.r.o.Now())
	}
	if w := s.waking; w != nil && (last || w.idle >= wakeReads || s.r.o.Now().Sub(w.since) >= wakeTime) {
		s.wake()
	}
}

// look looks at the clock, for nothing came.
func (s *session) look(now time.Time) {
	switch {
	case s.waking != nil:
		s.waking.idle++
	case s.hasStoodStill(now):
		s.waking = &waking{from: s.seen, since: now}
	default:
		s.seen = now
		s.advance(now)
	}
}

// keeps keeps an item that came right after the process stood still. It is false for others.
func (s *session) keeps(item *live.Item) bool {
	if item.Joined != nil || item.Left {
		s.wake()
		s.seen = time.Time{}
		return false
	}
	if s.waking == nil {
		at := arrivalOf(item)
		if !s.hasStoodStill(at) {
			s.seen = media.Later(s.seen, at)
			return false
		}
		s.waking = &waking{from: s.seen, since: s.r.o.Now()}
	}
	s.waking.items, s.waking.idle = append(s.waking.items, *item), 0
	if len(s.waking.items) >= maxWaking {
		s.wake()
	}
	return true
}

// hasStoodStill reports whether the process stood still until a time, by what was seen of the
// publication before.
func (s *session) hasStoodStill(until time.Time) bool {
	return s.pub != nil && !s.seen.IsZero() && until.Sub(s.seen) > stoodStill
}

// arrivalOf returns when an item came; zero where it does not say that.
func arrivalOf(item *live.Item) time.Time {
	switch {
	case item.Packet != nil:
		return item.Packet.Arrival
	case item.Report != nil:
		return item.Report.Arrival
	}
	return time.Time{}
}

// wake records what was kept.
func (s *session) wake() {
	w := s.waking
	if w == nil {
		return
	}
	s.waking, s.seen = nil, s.r.o.Now()
	w.retime(s.pub.tracks)
	w.follow(s.pub.tracks)
	for i := range w.items {
		s.record(&w.items[i])
	}
	clear(w.items)
}

// sent is a packet of an RTP stream, and when it came.
type sent struct {
	ssrc, ts uint32
	at       time.Time
}

// when returns when another packet of the stream came, by its timestamp, if it was not held
// up for longer.
func (s sent) when(ts, rate uint32) time.Time {
	return s.at.Add(-media.Ticks(int32(s.ts - ts)).Duration(rate))
}

// retime gives the items the arrivals that they would have had. In each stream those tell
// that were held up least: the ones that came last, or before the standstill. Where there are
// none of the same stream, a packet came before what is behind it in the queue.
func (w *waking) retime(tracks map[media.TrackID]*track) {
	streams := map[media.TrackID]sent{}
	var behind time.Time // when what is behind in the queue came
	for i := len(w.items) - 1; i >= 0; i-- {
		item := &w.items[i]
		if r := item.Report; r != nil {
			of, ok := streams[r.Track]
			if !ok || r.Arrival.Sub(of.when(r.RTP, tracks[r.Track].ClockRate)) > reportHeld {
				item.Report = nil
			}
		}
		if item.Packet == nil || tracks[item.Packet.Track] == nil {
			continue
		}
		p, tr := *item.Packet, tracks[item.Packet.Track] // others have the packet, too
		if behind.IsZero() {
			behind = p.Arrival
		}
		of := streams[p.Track]
		if !w.isOf(of, &p, tr.ClockRate) {
			if of = tr.last; !w.isOf(of, &p, tr.ClockRate) || of.when(p.Timestamp, tr.ClockRate).After(behind) {
				of = sent{p.SSRC, p.Timestamp, behind}
			}
		}
		if of.when(p.Timestamp, tr.ClockRate).After(p.Arrival) {
			of = sent{p.SSRC, p.Timestamp, p.Arrival}
		}
		streams[p.Track] = of
		p.Arrival = media.Later(of.when(p.Timestamp, tr.ClockRate), w.from)
		item.Packet, behind = &p, p.Arrival
	}
}

// follow brings packets whose timestamps jump to those that they follow without another
// between: nothing came behind them in time that would tell when they did.
func (w *waking) follow(tracks map[media.TrackID]*track) {
	last, late := map[media.TrackID]*media.Packet{}, map[media.TrackID]time.Duration{}
	for i := range w.items {
		p := w.items[i].Packet
		if p == nil || tracks[p.Track] == nil {
			continue
		}
		p.Arrival = p.Arrival.Add(-late[p.Track])
		if before := last[p.Track]; before != nil && p.SSRC == before.SSRC && p.Seq == before.Seq+1 {
			of := sent{before.SSRC, before.Timestamp, before.Arrival}
			d := p.Arrival.Sub(before.Arrival)
			if jump := p.Arrival.Sub(of.when(p.Timestamp, tracks[p.Track].ClockRate)); d > stoodStill && jump.Abs() > stoodStill {
				late[p.Track] += d
				p.Arrival = before.Arrival
			}
		}
		last[p.Track] = p
	}
}

// isOf reports whether a packet is of the same stream as another. What seems to be from before
// the standstill, or from after it came, is of other timestamps.
func (w *waking) isOf(of sent, p *media.Packet, rate uint32) bool {
	at := of.when(p.Timestamp, rate)
	return !of.at.IsZero() && of.ssrc == p.SSRC && !at.Before(w.from.Add(-stoodStill)) && !at.After(p.Arrival.Add(stoodStill))
}
