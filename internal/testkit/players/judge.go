package players

import (
	"fmt"
	"math"

	"github.com/live777/recorder/internal/testkit/shapes"
)

// Showing is what a player did with one recording of a Shape.
type Showing struct {
	Result    *Result
	Start     float64 // seconds of the Shape at which the recording begins
	Duration  float64
	Timeless  bool    // the player says nothing of time: holes are not there, and only the order counts
	Tolerance float64 // seconds by which a picture may be shown early or late
}

// Verdict is what a player showed of a Shape, in seconds.
type Verdict struct {
	Pictures, PicturesWanted int
	Sounds, SoundsWanted     int
	Filled, FilledWanted     int // seconds without media of the publisher, that have to have any picture
	Stalls                   int
	Missing                  []string
}

// OK reports whether everything was shown.
func (v *Verdict) OK() bool { return len(v.Missing) == 0 }

// Judge says which seconds of a Shape were shown, of those from a second on.
func Judge(made *shapes.Made, showings []Showing, from int) *Verdict {
	v := &Verdict{}
	for j := range showings {
		r := showings[j].Result
		v.Stalls += len(r.Stalls)
		if r.End != "ended" {
			v.Missing = append(v.Missing, fmt.Sprintf("%s at %.1f of %.1f s", r.End, r.Time, showings[j].Duration))
		}
		v.Missing = append(v.Missing, r.Errors...)
		if made.Shown != "" && r.Width > 0 && made.Shown != fmt.Sprintf("%dx%d", r.Width, r.Height) {
			v.Missing = append(v.Missing, fmt.Sprintf("shown as %dx%d", r.Width, r.Height))
		}
	}
	for i, want := range made.Seconds {
		if i < from {
			continue
		}
		any := func(shows func(s *Showing, at float64) bool) bool {
			for j := range showings {
				if s := &showings[j]; shows(s, float64(i)+0.5-s.Start) {
					return true
				}
			}
			return false
		}
		switch want.Picture {
		case shapes.Media:
			v.PicturesWanted++
			v.count(&v.Pictures, any(func(s *Showing, at float64) bool { return s.shows(want.Code, at) }), "picture", i)
		case shapes.Filled:
			v.FilledWanted++
			v.count(&v.Filled, any((*Showing).showsAny), "any picture", i)
		}
		if want.Sound == shapes.Media {
			v.SoundsWanted++
			v.count(&v.Sounds, any(func(s *Showing, at float64) bool { return s.sounds(shapes.Tone(i), at) }), "sound", i)
		}
	}
	return v
}

func (v *Verdict) count(n *int, shown bool, what string, second int) {
	if shown {
		*n++
		return
	}
	v.Missing = append(v.Missing, fmt.Sprintf("%s of second %d", what, second))
}

// near is how far from its time a second may be shown: players and what looks at
// them take time, and play faster than the world goes.
const near = 1.1

func (s *Showing) shows(code int, at float64) bool {
	for _, p := range s.Result.Pictures {
		if p.Code == code && (s.Timeless || math.Abs(p.Time-at) <= near+s.Tolerance) {
			return true
		}
	}
	return false
}

func (s *Showing) showsAny(at float64) bool {
	if s.Timeless {
		return len(s.Result.Pictures) > 0
	}
	for _, p := range s.Result.Pictures {
		if p.Code != NoPicture && math.Abs(p.Time-at) <= near {
			return true
		}
	}
	return false
}

func (s *Showing) sounds(tone, at float64) bool {
	for _, p := range s.Result.Sounds {
		if math.Abs(p.Pitch-tone) < shapes.ToneStep/2 && (s.Timeless || math.Abs(p.Time-at) <= near) {
			return true
		}
	}
	return false
}
