package chaos

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// latest is how much later than captured something may be recorded: media time 0 is when
	// the first packet arrived, as far as no report tells more.
	latest = 100 * time.Millisecond
	// mixedUp is how wrong a clock may be that is that of the arrivals, for the sender went
	// on with other numbers on a network that mixes packets up: until a report tells.
	mixedUp = 2 * reordered
)

// checkDisplaced finds what is not at its time: against the clock, and against what was sent
// before it.
func (j *judge) checkDisplaced(l lane, all []placed) {
	var last *placed
	for i := range all {
		p := &all[i]
		if p.unit == nil {
			continue
		}
		life := p.unit.of.sender.life
		limit := latest + life.Net.mixed() + life.Clock.unsure()
		if j.isConfused(p.unit) {
			limit += mixedUp
		}
		if !life.tells() && l != (lane{media.Video, 0}) {
			limit += life.Net.Jitter + life.Clock.unsure() // as late as the picture, and beside that by the arrivals
		}
		limit += j.pushed(p.unit.of.sender)
		if j.unseen(p.unit) {
			limit += max(0, p.unit.at-p.unit.captured)
		}
		if off := p.late(); off.Abs() > limit {
			j.fault("displaced", "%s of %s at %v is %v later than captured", l.id(), p.rec.Dir, p.start, off)
		}
		if last != nil && last.rec == p.rec && last.unit.of == p.unit.of && p.start-last.end < short {
			j.checkStep(l, last, p)
		}
		last = p
	}
}

// pushed returns by how much a sender's media had to begin later than it was captured: that of
// the one before, which the network had brought late, lasts until then; or a node that had stood
// still had heard nothing before, so that what it reads first is of when it reads that.
func (j *judge) pushed(s *senderTruth) time.Duration {
	if by, ok := j.push[s]; ok {
		return by
	}
	by, first := time.Duration(0), time.Duration(math.MaxInt64)
	for _, all := range j.placed {
		for i := range all {
			switch p := &all[i]; {
			case p.unit == nil:
			case p.unit.of.sender == s:
				first = min(first, p.rec.at)
			case p.unit.of.sender.began < s.began:
				by = max(by, p.rec.at+p.end-s.began)
			}
		}
	}
	if slices.ContainsFunc(j.noted, func(n noted) bool { return n.kind == "standstill" && first >= n.to && first < n.to+looks+latest }) {
		by += looks
	}
	j.push[s] = by
	return by
}

// tells reports whether a publisher's reports tell more than the arrivals do of how far its
// tracks are apart.
func (l *Life) tells() bool { return l.Clock.Reports != "" && l.Clock.Reports != "whole" }

// unseen reports whether all that a sender sent by the clock of a unit came while the node
// stood still, and it had left, or gone on by another clock, before the node went on: nothing
// came in time that would tell when that was.
func (j *judge) unseen(u *unit) bool {
	s := u.of.sender
	onTheWay := s.life.Clock.Delay + latency + s.life.Net.mixed()
	from, to := s.life.sameClock(u.captured)
	return slices.ContainsFunc(j.noted, func(n noted) bool {
		return n.kind == "standstill" && u.captured >= n.from && !slices.ContainsFunc(s.tracks, func(tr *trackTruth) bool {
			return slices.ContainsFunc(tr.units, func(u *unit) bool {
				return u.captured >= from && u.captured < to && (u.captured < n.from || u.captured+onTheWay >= n.to)
			})
		})
	})
}

// hasClockOf reports whether two units were sent by one clock.
func (u *unit) hasClockOf(v *unit) bool {
	from, _ := u.of.sender.life.sameClock(u.captured)
	other, _ := v.of.sender.life.sameClock(v.captured)
	return u.of.sender == v.of.sender && from == other
}

// sameClock returns from when until when a publisher's timestamps were by the clock of a time.
func (l *Life) sameClock(at time.Duration) (from, to time.Duration) {
	to = math.MaxInt64
	for _, t := range l.Turns {
		switch turned := l.At + t.At; {
		case !t.SSRC && t.Stamp == 0:
		case turned <= at:
			from = max(from, turned)
		default:
			to = min(to, turned)
		}
	}
	return from, to
}

// checkStep finds what is not as long after the one right before it as when it was captured:
// clocks are followed by a frame or a packet at a time, and at once only after a hole.
func (j *judge) checkStep(l lane, last, p *placed) {
	s := p.unit.of.sender
	limit := s.life.known() + s.life.Net.Jitter
	if p.unit.young() || p.unit.turned() {
		limit += s.life.Clock.unsure()
	}
	if j.isConfused(p.unit) {
		limit += mixedUp
	}
	if d := p.late() - last.late(); d.Abs() > limit {
		j.fault("displaced", "%s of %s at %v is %v later than what was sent before it", l.id(), p.rec.Dir, p.start, d)
	}
}

// isConfused reports whether the clock of a unit's track may be mixed up: until a report
// tells, which the recorder follows with its next segment.
func (j *judge) isConfused(u *unit) bool { return u.isConfused(unreported + j.sc.Segment) }

// mixed is how late a network brings packets.
func (n *Net) mixed() time.Duration {
	switch {
	case n.Again > 0:
		return n.Jitter + resent
	case n.Reorder > 0:
		return n.Jitter + reordered
	}
	return n.Jitter
}
