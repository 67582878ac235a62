package chaos

import (
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
		if j.unseen(p.unit.of.sender) {
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

// tells reports whether a publisher's reports tell more than the arrivals do of how far its
// tracks are apart.
func (l *Life) tells() bool { return l.Clock.Reports != "" && l.Clock.Reports != "whole" }

// unseen reports whether all that a sender sent came while the node stood still, and it had
// left before the node went on: nothing came in time that would tell when that was.
func (j *judge) unseen(s *senderTruth) bool {
	onTheWay := s.life.Clock.Delay + latency + s.life.Net.mixed()
	return slices.ContainsFunc(j.noted, func(n noted) bool {
		return n.kind == "standstill" && !slices.ContainsFunc(s.tracks, func(tr *trackTruth) bool {
			return slices.ContainsFunc(tr.units, func(u *unit) bool { return u.captured < n.from || u.captured+onTheWay >= n.to })
		})
	})
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
