package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// maxSync is how far tracks may be apart.
	maxSync = 45 * time.Millisecond
	// snapped is the same of layers whose clocks no report tells exactly: key frames that are
	// so near each other are put where the picture of one of them belongs.
	snapped = 100 * time.Millisecond
	// unreported is how long the recorder may know the clocks of other streams by their
	// arrivals only: until a report comes.
	unreported = 1500 * time.Millisecond
	// settled is how long it takes to know the clock of a track whose reports are not
	// exact.
	settled = 20 * time.Second
)

// checkSync holds the audio, and the other layers, against the video, where both are what
// was sent.
func (j *judge) checkSync() {
	video := map[*recorded][]*placed{}
	first := j.placed[lane{media.Video, 0}]
	for i := range first {
		if p := &first[i]; p.unit != nil {
			video[p.rec] = append(video[p.rec], p)
		}
	}
	for _, l := range j.lanes() {
		if l != (lane{media.Video, 0}) {
			j.checkApart(l, video)
		}
	}
}

// checkApart finds where a lane is the farthest from the video.
func (j *judge) checkApart(l lane, video map[*recorded][]*placed) {
	worst, at := time.Duration(0), ""
	for i := range j.placed[l] {
		p := &j.placed[l][i]
		v := before(p, video[p.rec])
		if v == nil || v.unit.of.sender != p.unit.of.sender || p.start-v.start > time.Second {
			continue
		}
		if off := p.late() - v.late(); off.Abs() > j.syncLimit(p.unit, v.unit) && off.Abs() > worst.Abs() {
			worst, at = off, fmt.Sprintf("%s at %v", p.rec.Dir, p.start)
		}
	}
	if worst != 0 {
		j.fault("sync", "%s is %v later than the video: %s", l.id(), worst, at)
	}
}

// before returns the picture that is shown with a sample, nil if there is none, or none
// after it.
func before(p *placed, video []*placed) *placed {
	k, _ := slices.BinarySearchFunc(video, p.start, func(v *placed, t time.Duration) int { return int(v.start - t) })
	if p.unit == nil || k == 0 || k >= len(video) {
		return nil
	}
	return video[k-1]
}

// syncLimit is how far audio may be from the video: as far as the sender's clock is
// known.
func (j *judge) syncLimit(a, v *unit) time.Duration {
	s := a.of.sender
	known := s.life.known()
	switch c := &s.life.Clock; {
	case j.isConfused(a), j.isConfused(v):
		return known + mixedUp
	case a.young(), v.young(), c.Reports != "exact" && (a.turned() || v.turned()):
		return known + s.life.Net.Jitter + c.unsure()
	case !s.life.tells():
		return known + s.life.Net.Jitter
	}
	return known + s.life.Net.Jitter/8
}

// known is how well it is known where a sender's tracks are, beside what reports and network
// make of it.
func (l *Life) known() time.Duration {
	if len(l.Video) > 1 && !l.EqualTS && l.Clock.Reports != "exact" {
		return snapped
	}
	return maxSync
}

// unsure is by how much a single report, or a packet, tells the wrong time.
func (c *Clock) unsure() time.Duration {
	switch c.Reports {
	case "exact":
		return 0
	case "jitter":
		return jittery
	}
	return c.Delay
}

// young reports whether a unit was captured when its track had not told its clock for long.
func (u *unit) young() bool { return u.captured-u.of.units[0].captured < settled }

// turned reports whether a unit's sender has begun other timestamps, of which its reports
// have not told enough at a time: since the first unit that has them and could be recorded.
func (u *unit) turned() bool {
	life := u.of.sender.life
	return slices.ContainsFunc(life.Turns, func(t Turn) bool {
		if !t.SSRC && t.Stamp == 0 {
			return false
		}
		i := slices.IndexFunc(u.of.units, func(v *unit) bool { return v.recorded && v.captured > life.At+t.At })
		return i >= 0 && u.captured >= u.of.units[i].captured && u.captured-u.of.units[i].captured < settled
	})
}
