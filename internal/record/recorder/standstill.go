package recorder

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// A process may stand still: the machine slept or had no time. When it goes on, it
// finds at once what came meanwhile, and everything seems to arrive now. But clocks,
// pauses and first places are judged by arrivals. So the session keeps what it finds
// for a moment, sees which packets come in time, and works out when the others would
// have arrived.

const (
	// stoodStill is the shortest time without a packet or a look at the clock that
	// counts as a standstill.
	stoodStill = time.Second
	// wakeTime is how long what comes after a standstill is kept: until the sockets are
	// empty and each track that is still sent has had a packet. wakeReads is the same
	// as a number of reads, if the clock does not go on.
	wakeTime  = 500 * time.Millisecond
	wakeReads = int(wakeTime/readTimeout) + 1
	// inTime is how long after a standstill packets may still be held up. What comes
	// later is in time.
	inTime = 50 * time.Millisecond
	// maxWaking bounds the items that are kept. If there are more, they are recorded at
	// once.
	maxWaking = 10_000
	// reportHeld is how late a sender report may be and still be used. How much later
	// than its frames it came is not known.
	reportHeld = 250 * time.Millisecond
)

// inbox is what a session reads.
type inbox struct {
	sub    *live.Subscription
	dealt  atomic.Int64 // items of sub that run has finished: tests wait for it
	taken  atomic.Int64 // items of sub that run has taken: tests wait for it
	kept   kept         // what came before the recording was started
	seen   time.Time    // when something of the publication last came, or the clock was looked at since it did; zero: not yet
	waking *waking      // what has come since the process stood still, while it is kept; else nil
}

// waking has what came since the process went on.
type waking struct {
	from  time.Time // when something was last seen before it stood still
	since time.Time // when it went on
	idle  int       // times that nothing came
	items []live.Item
}

// deal records what has come, or keeps it after a standstill. last: nothing more will
// come.
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

// look looks at the clock, because nothing came.
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

// keeps keeps an item that came right after a standstill, and returns true. It returns
// false for other items.
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

// hasStoodStill reports whether the process stood still until a time, by what was last
// seen of the publication.
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

// when returns when another packet of the stream came, by its timestamp, if it was held
// up no longer than this one.
func (s sent) when(ts, rate uint32) time.Time {
	return s.at.Add(-media.Ticks(int32(s.ts - ts)).Duration(rate))
}

// next returns which of this packet and one that came behind it tells when the stream's
// others come: the one that was held up least, of the last second.
func (s sent) next(p *media.Packet, rate uint32) sent {
	late := p.Arrival.Sub(s.when(p.Timestamp, rate))
	if s.ssrc == p.SSRC && late > 0 && late < stoodStill && p.Arrival.Sub(s.at) < stoodStill {
		return s
	}
	return sent{p.SSRC, p.Timestamp, p.Arrival}
}

// heldStream is an RTP stream of which packets have come since the process went on.
type heldStream struct {
	sent       // the packet that was held up least
	alone bool // no packet of it came before the standstill, and none in time since
}

// retime gives the items the arrivals that they would have had. In each stream the
// packets that were held up least tell: the last ones, or those before the standstill.
// If a stream has none, a packet counts as arrived when the next packet in the queue
// did.
func (w *waking) retime(tracks map[media.TrackID]*track) {
	of := w.streams(tracks)
	w.placeAlone(of, tracks)
	w.placeNext(of, tracks)
	for i, st := range of {
		switch item := &w.items[i]; {
		case item.Report != nil:
			if r := item.Report; st == nil || r.Arrival.Sub(st.when(r.RTP, tracks[r.Track].ClockRate)) > reportHeld {
				item.Report = nil
			}
		case st != nil:
			p := *item.Packet // others have it, too
			p.Arrival = media.Later(st.when(p.Timestamp, tracks[p.Track].ClockRate), w.from)
			item.Packet = &p
		}
	}
}

// streams returns the stream of each item, nil if it has none.
func (w *waking) streams(tracks map[media.TrackID]*track) []*heldStream {
	last, of := map[media.TrackID]*heldStream{}, make([]*heldStream, len(w.items))
	var behind time.Time // when what is behind in the queue came
	for i := len(w.items) - 1; i >= 0; i-- {
		if r := w.items[i].Report; r != nil {
			of[i] = last[r.Track]
		}
		p := w.items[i].Packet
		if p == nil || tracks[p.Track] == nil {
			continue
		}
		rate := tracks[p.Track].ClockRate
		if behind.IsZero() {
			behind = p.Arrival
		}
		st := last[p.Track]
		if st == nil || !w.isOf(st.sent, p, rate) {
			st = w.stream(tracks[p.Track], p, behind)
			last[p.Track] = st
		}
		if st.when(p.Timestamp, rate).After(p.Arrival) {
			st.sent = sent{p.SSRC, p.Timestamp, p.Arrival}
		}
		of[i], behind = st, media.Later(st.when(p.Timestamp, rate), w.from)
	}
	return of
}

// stream returns the stream of a packet that is the last of it. The packet before the
// standstill tells when it came, if that fits with what is behind in the queue.
func (w *waking) stream(tr *track, p *media.Packet, behind time.Time) *heldStream {
	if w.isOf(tr.last, p, tr.ClockRate) && !tr.last.when(p.Timestamp, tr.ClockRate).After(behind) {
		return &heldStream{sent: tr.last}
	}
	since := media.Later(w.since, arrivalOf(&w.items[0])) // it may have looked at the clock before
	return &heldStream{sent: sent{p.SSRC, p.Timestamp, behind}, alone: p.Arrival.Sub(since) < inTime}
}

// placeAlone times the streams that are alone by the others: a packet came before those
// that are behind it in the queue, unless these came out of order.
func (w *waking) placeAlone(of []*heldStream, tracks map[media.TrackID]*track) {
	var now time.Time
	came := make([]time.Time, len(of)) // zero: nothing tells it
	for i, st := range of {
		if p := w.items[i].Packet; p != nil && st != nil && !st.alone {
			now = media.Later(now, st.when(p.Timestamp, tracks[p.Track].ClockRate))
			came[i] = now
		}
	}
	var behind time.Time
	for i, st := range slices.Backward(of) {
		p := w.items[i].Packet
		switch {
		case p == nil || st == nil:
		case !st.alone:
			behind = came[i]
		case !behind.IsZero() && st.when(p.Timestamp, tracks[p.Track].ClockRate).After(behind):
			st.sent = sent{p.SSRC, p.Timestamp, behind}
		}
	}
}

// placeNext times the streams that are still alone and go on where another of their track
// ended: a sender that begins a new RTP stream does so at once. Without packets that come in
// time, the end of the standstill is only the latest that they may have come.
func (w *waking) placeNext(of []*heldStream, tracks map[media.TrackID]*track) {
	now, last := w.from, map[media.TrackID]uint32{}
	for i, st := range of {
		p := w.items[i].Packet
		if p == nil || st == nil {
			continue
		}
		tr := tracks[p.Track]
		if _, came := last[p.Track]; !came && !tr.last.at.IsZero() {
			last[p.Track] = tr.last.ssrc
		}
		ssrc, came := last[p.Track]
		if st.alone && came && ssrc != p.SSRC && st.when(p.Timestamp, tr.ClockRate).After(now) {
			st.sent = sent{p.SSRC, p.Timestamp, now}
		}
		last[p.Track] = p.SSRC
		now = media.Later(now, st.when(p.Timestamp, tr.ClockRate))
	}
}

// follow handles packets whose timestamps jump: it gives them the arrival of the packet
// before, since no later packet of their clock tells when they came.
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

// isOf reports whether a packet is of the same stream as another. A packet that seems
// to come from before the standstill, or from the future, has other timestamps.
func (w *waking) isOf(of sent, p *media.Packet, rate uint32) bool {
	at := of.when(p.Timestamp, rate)
	return !of.at.IsZero() && of.ssrc == p.SSRC && !at.Before(w.from.Add(-stoodStill)) && !at.After(p.Arrival.Add(stoodStill))
}
