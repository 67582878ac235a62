package recording

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
)

// rotating is a session that has recordings rotated, and waits for that.
type rotating struct{ rotations int }

func (s *rotating) Rotate(time.Duration)        { s.rotations++ }
func (*rotating) Limit() time.Duration          { return 10 * time.Second }
func (*rotating) Wall(time.Duration) time.Time  { return time.Time{} }
func (*rotating) Decoded(arrange.Lane)          {}
func (*rotating) RequestKeyFrame(media.TrackID) {}

// What is held is bounded in number and bytes, and the arranger is told in time when the
// recording that is to begin will be rotated.
func TestHeldIsBounded(t *testing.T) {
	for name, hold := range map[string]func(w *Writer){
		"number": func(w *Writer) {
			for range maxHeld - 1 {
				w.LeftOut(lane{})
			}
		},
		"bytes": func(w *Writer) { w.Sample(lane{}, arrange.Sample{Data: make([]byte, maxHeldBytes)}) },
	} {
		s := &rotating{}
		w := NewWriter(s, 3)
		w.held = &held{}
		w.BeginPeriod(time.Second, nil)
		if at, err := w.Take(); at != 11*time.Second || err != nil {
			t.Errorf("the recording that is to begin at 1 s will be rotated at %v: %v", at, err)
		}
		w.BeginPeriod(2*time.Second, nil)
		w.BeginPeriod(3*time.Second, nil)
		if at, _ := w.Take(); at != 3*time.Second {
			t.Errorf("the recording will have three Periods, and be rotated at %v", at)
		}
		if w.IsFull() {
			t.Errorf("%s: full of little", name)
		}
		hold(w)
		if !w.IsFull() {
			t.Errorf("%s: there is no bound", name)
		}
		if s.rotations != 0 {
			t.Errorf("%d rotations", s.rotations)
		}
	}
}
