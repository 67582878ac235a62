package chaos

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

const (
	// near is how far a recorded sample may be from when it was captured, and still
	// be that: the sources repeat themselves after ten seconds.
	near = 2 * time.Second
	// nearFilled is the same where the ledger says that it is not what was sent.
	nearFilled = 300 * time.Millisecond
	// rounded is by how much the end of a gap is not known: the ledger has whole
	// milliseconds, of its beginning and of its duration. Copies right before the end may
	// be shorter than that, and the picture that ends a gap seem to be in it.
	rounded = time.Millisecond
	// silent is the most bytes that a packet of silence has.
	silent = 20
)

// placed is a recorded sample with what it was found to be.
type placed struct {
	rec   *recorded
	start time.Duration // on the recording's media timeline
	end   time.Duration
	sum   [sha256.Size]byte
	size  int
	unit  *unit // nil: it fills
	next  int   // of what was sent, the first that a later sample can be
}

// late is by how much later it was recorded than captured.
func (p *placed) late() time.Duration { return p.rec.at + p.start - p.unit.captured }

// placer finds out what the samples of a lane are.
type placer struct {
	lane   lane
	sent   []*unit
	bySum  map[[sha256.Size]byte][]int // indexes in sent, rising
	all    []placed
	index  int           // in all
	next   int           // of sent, the first that is left
	behind time.Duration // by how much later than captured the last one was recorded
	unseen func(*unit) bool
}

// place finds out which unit each sample of a lane is: among those with its bytes, in the
// order of sending, the one that was captured nearest.
func (j *judge) place(l lane, sent []*unit) []placed {
	p := &placer{lane: l, sent: sent, bySum: map[[sha256.Size]byte][]int{}, unseen: j.unseen}
	for i, u := range sent {
		if u.whole() != no { // another one may be the same, and have arrived
			p.bySum[u.sum] = append(p.bySum[u.sum], i)
		}
	}
	for _, rec := range j.recordings {
		if tr, ok := rec.Layer(l.id()); ok {
			p.add(rec, tr)
		}
	}
	for p.index = range p.all {
		p.find()
	}
	for i := range p.all {
		if u := p.all[i].unit; u != nil {
			u.recorded = true
		} else {
			j.checkFilled(l, &p.all[i], sent)
		}
	}
	return p.all
}

// add adds the samples of a recording.
func (p *placer) add(rec *recorded, tr *verify.Track) {
	for i := range tr.Samples {
		s := &tr.Samples[i]
		p.all = append(p.all, placed{
			rec: rec, start: s.Shown().Duration(tr.Timescale), end: (s.Shown() + s.Duration).Duration(tr.Timescale), sum: sha256.Sum256(s.Data), size: len(s.Data),
		})
	}
}

// find finds out which unit the next sample is.
func (p *placer) find() {
	at := &p.all[p.index]
	if p.index == 0 || p.all[p.index-1].rec != at.rec {
		p.begin(at)
	}
	k := p.nearest(at)
	if k < 0 && !at.inGap(p.lane, -rounded) && p.begin(at) { // another clock
		k = p.nearest(at)
	}
	if k >= 0 && at.inGap(p.lane, rounded) && p.standsBefore(p.sent[k]) {
		k = -1
	}
	if k < 0 && !at.inGap(p.lane, rounded) {
		k = p.makeRoom(at)
	}
	if k >= 0 {
		at.unit = p.sent[k]
		p.behind, p.next = at.late(), k+1
	}
	at.next = p.next
}

// begin looks whether a sample is the first of a clock of which nobody knows when that was.
func (p *placer) begin(at *placed) bool {
	for _, k := range p.bySum[at.sum] {
		u := p.sent[k]
		if late := at.rec.at + at.start - u.captured; k >= p.next && p.unseen(u) && late >= 0 {
			p.behind = late
			return true
		}
	}
	return false
}

// nearest returns the unit that was captured nearest to a sample's time, or -1. Where the
// ledger says that something fills, that is no unit of which a decoder can make nothing.
func (p *placer) nearest(at *placed) int {
	best, reach, filled := -1, near, at.inGap(p.lane, -rounded)
	if filled {
		reach = nearFilled
	}
	for _, k := range p.bySum[at.sum] {
		if k < p.next || filled && p.sent[k].decodable == no {
			continue
		}
		if d := p.off(at, p.sent[k]); d < reach {
			best, reach = k, d
		}
	}
	return best
}

// off returns how far a sample is from where a unit is to be expected: as late as the one before,
// or in time, if that was by another clock.
func (p *placer) off(at *placed, u *unit) time.Duration {
	late := at.rec.at + at.start - u.captured
	d := (late - p.behind).Abs()
	if p.next > 0 && !u.hasClockOf(p.sent[p.next-1]) {
		d = min(d, late.Abs())
	}
	return d
}

// standsBefore reports whether a sample that follows is the same, and nearer to where a
// unit belongs, or in no gap as this one is: this one is the last picture before, which
// stands until then.
func (p *placer) standsBefore(u *unit) bool {
	off := func(s *placed) time.Duration { return s.rec.at + s.start - u.captured - p.behind }
	at := &p.all[p.index]
	inside := at.inGap(p.lane, -rounded)
	for i := p.index + 1; i < len(p.all) && off(&p.all[i]) <= near; i++ {
		if s := &p.all[i]; s.sum == at.sum && (off(s).Abs() < off(at).Abs() || inside && !s.inGap(p.lane, rounded)) {
			return true
		}
	}
	return false
}

// makeRoom finds a unit for a sample for which none is left, where those right before it
// are the same: a sender that begins anew at once sends its first key frame twice, and the
// first of two that come a little late is nearer to the second. Each of them becomes the
// unit before its own then, from the last one on that has another before it.
func (p *placer) makeRoom(at *placed) int {
	for i := p.index - 1; i >= 0 && p.all[i].sum == at.sum && p.all[i].unit != nil; i-- {
		from := 0
		if i > 0 {
			from = p.all[i-1].next
		}
		for _, k := range p.bySum[at.sum] {
			if k >= from && k < p.all[i].next-1 && (p.all[i].rec.at+p.all[i].start-p.sent[k].captured).Abs() < nearFilled {
				return p.moveUp(i, k)
			}
		}
	}
	return -1
}

// moveUp gives the k-th unit to the i-th sample and those that they have had to the ones
// after it; it returns the one that is left.
func (p *placer) moveUp(i, k int) int {
	for ; i < p.index; i++ {
		had := p.all[i].next - 1
		p.all[i].unit, p.all[i].next = p.sent[k], k+1
		k = had
	}
	return k
}

// checkFilled judges a sample that is not what was sent at its time: it is silence, or it
// stands in a gap that the ledger calls filled.
func (j *judge) checkFilled(l lane, p *placed, sent []*unit) {
	known := slices.ContainsFunc(sent, func(u *unit) bool { return u.sum == p.sum })
	switch {
	case l.kind == media.Audio && p.size <= silent && !known:
	case p.inGap(l, rounded):
	case known:
		j.fault("mistimed", "%s of %s at %v was sent at another time", l.id(), p.rec.Dir, p.start)
	default:
		j.fault("extra", "%s of %s at %v (%d bytes) was never sent", l.id(), p.rec.Dir, p.start, p.size)
	}
}

// inGap reports whether a sample begins in a gap that the ledger calls filled, and that is
// longer by slack.
func (p *placed) inGap(l lane, slack time.Duration) bool {
	at := p.start
	if l.kind == media.Audio {
		at += (p.end - p.start) / 2 // the ledger's times are rounded
	}
	for _, g := range p.rec.gaps(l) {
		if g.Filled && at >= dur(g.Start)-2*rounded && at < dur(g.Start+g.Duration)+slack {
			return true
		}
	}
	return false
}
