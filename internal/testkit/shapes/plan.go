package shapes

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

// plan is what a player has to show of a Shape: it notes what is sent.
type plan struct {
	crash  time.Duration
	spans  []Publication
	sound  []int             // packets that arrived, by second
	layers map[string]*layer // by RID
}

// layer is what arrived of one encoding of the picture, by second.
type layer struct {
	pictures  []int // that can be decoded
	middle    []int // what stands in the middle of the second; -1: nothing yet
	slow      bool
	decodable bool
}

func newPlan(s *Shape) *plan {
	n := int(s.For / time.Second)
	return &plan{crash: s.Crash, sound: make([]int, n), layers: map[string]*layer{}}
}

func (p *plan) begins(pub Publication) {
	p.spans = append(p.spans, pub)
	for _, l := range p.layers {
		l.decodable = false
	}
}

// note notes that a unit was sent which is shown at a time.
func (p *plan) note(tr *track, at time.Duration, code int, lost, key bool) {
	n := int(at / time.Second)
	if n >= len(p.sound) {
		return
	}
	if tr.Kind == media.Audio {
		if !lost {
			p.sound[n]++
		}
		return
	}
	l := p.layers[tr.RID]
	if l == nil {
		l = &layer{pictures: make([]int, len(p.sound)), middle: make([]int, len(p.sound)), slow: tr.take.Step > 0 || tr.take.Every > 0}
		for i := range l.middle {
			l.middle[i] = -1
		}
		p.layers[tr.RID] = l
	}
	switch {
	case lost:
		l.decodable = false
	case key:
		l.decodable = true
	}
	if !l.decodable {
		return
	}
	l.pictures[n]++
	// It stands until another one comes.
	for i := n; i < len(l.middle); i++ {
		if i > n || at%time.Second <= time.Second/2 {
			l.middle[i] = code
		}
	}
}

// Most of a second's pictures, and packets of sound, are enough.
const (
	mostPictures = Rate * 8 / 10
	mostSound    = 50 * 8 / 10
)

func (p *plan) seconds() []Second {
	out := make([]Second, len(p.sound))
	for i := range out {
		begin, end := time.Duration(i)*time.Second, time.Duration(i+1)*time.Second
		for _, pub := range p.spans {
			if pub.From > begin || pub.To < end || p.crash > 0 && begin < p.crash && end > p.crash-chunk {
				continue
			}
			if pub.Audio != nil {
				out[i].Sound = Filled
				if p.sound[i] >= mostSound {
					out[i].Sound = Media
				}
			}
			if pub.Video != nil {
				out[i].Picture, out[i].Code = p.picture(i)
			}
		}
	}
	return out
}

// picture is what a player has to show of a second: what all layers have.
func (p *plan) picture(i int) (State, int) {
	state, code := Filled, -1
	for _, l := range p.layers {
		if l.middle[i] < 0 || !l.slow && l.pictures[i] < mostPictures {
			return Filled, -1
		}
		state, code = Media, l.middle[i]
	}
	return state, code
}
