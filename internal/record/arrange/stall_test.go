package arrange

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// expectSound takes the next packets of sound that was sent, which follow on from a time.
func (s *script) expectSound(t *testing.T, n int, at time.Duration) {
	t.Helper()
	if len(s.sounds) < n {
		t.Fatalf("%d packets of sound, want %d from %v on", len(s.sounds), n, at)
	}
	for i, got := range s.sounds[:n] {
		if want := media.Ticks(ticks(at+time.Duration(i)*soundEvery, audioRate)); got != want {
			t.Fatalf("packet %d from %v on is at %d, want %d", i, at, got, want)
		}
	}
	s.sounds = s.sounds[n:]
}

// Sound that stands still with its timestamps, for as long as silence is written in its
// place or for less, goes on where it is by the clock: nothing of it is left out. What a
// network has held up goes where it was made.
func TestStall(t *testing.T) {
	for _, stall := range []time.Duration{600 * time.Millisecond, 3 * time.Second, 12 * time.Second} {
		s := newScript(t)
		s.play(7 * time.Second)
		s.audio = false
		s.play(stall)
		s.audio, s.slip = true, stall
		s.play(6 * time.Second)
		s.a.Leave()
		s.expectSound(t, 350, 0)
		s.expectSound(t, 300, 7*time.Second+stall)
		if len(s.sounds) != 0 {
			t.Errorf("after a stall of %v there are %d packets too many", stall, len(s.sounds))
		}
	}
}

// Sound that the network has held up, while it let the picture through, goes where it was
// made.
func TestSoundHeldUp(t *testing.T) {
	s := newScript(t)
	s.play(7 * time.Second)
	s.audio = false
	s.play(3 * time.Second)
	s.audio = true
	for at := 7 * time.Second; at < s.at; at += soundEvery {
		s.frame(1, sound(at))
	}
	s.play(3 * time.Second)
	s.a.Leave()
	s.expectSound(t, 650, 0)
}

// So does sound that is held up from some time on for good, where reports tell when it was
// made.
func TestSoundHeldUpForGood(t *testing.T) {
	s := newScript(t)
	s.play(7 * time.Second)
	s.audio = false
	s.play(500 * time.Millisecond)
	s.audio, s.slip, s.slow = true, 500*time.Millisecond, true
	s.play(4 * time.Second)
	s.a.Leave()
	s.expectSound(t, 550, 0)
}

// So do a few packets that came late, behind which no others come.
func TestLastSoundHeldUp(t *testing.T) {
	s := newScript(t)
	s.play(7 * time.Second)
	s.audio = false
	s.play(500 * time.Millisecond)
	for i := range 3 {
		s.frame(1, sound(7*time.Second+time.Duration(i)*soundEvery))
	}
	s.play(7 * time.Second)
	s.a.Leave()
	s.expectSound(t, 353, 0)
}

// Sound whose clock stands still for moments, each too short to be a stall, follows.
func TestSlips(t *testing.T) {
	s := newScript(t)
	s.play(8 * time.Second)
	for range 3 {
		s.audio = false
		s.play(60 * time.Millisecond)
		s.audio, s.slip = true, s.slip+60*time.Millisecond
		s.play(time.Second)
	}
	s.play(12 * time.Second)
	a := s.a.pub.audio
	if d := s.a.clock() - a.lane.duration(a.time(a.last)) - soundEvery; d.Abs() > 30*time.Millisecond {
		s.flush()
		t.Errorf("the sound is %v early\n%s", d, strings.Join(s.lines, "\n"))
	}
	s.a.Leave()
	if got := strings.Join(s.lines, "\n"); strings.Contains(got, "left out") {
		t.Errorf("it was decided\n%s", got)
	}
}

// Sound that falls far behind while pictures come late too, so that only reports tell, goes on
// behind silence, which is booked: it takes no Period of its own.
func TestSlipsFar(t *testing.T) {
	s := newScript(t)
	s.play(6 * time.Second)
	s.report = 5 * time.Second
	s.play(10 * time.Second)
	for i := range 40 { // a third of the sound is not made
		s.late = time.Duration(i) * 10 * time.Millisecond
		s.audio = false
		s.play(soundEvery)
		s.audio, s.slip = true, s.slip+soundEvery
		s.play(2 * soundEvery)
	}
	s.play(12 * time.Second)
	a := s.a.pub.audio
	if d := s.a.clock() - a.lane.duration(a.time(a.last)) - soundEvery; d.Abs() > 30*time.Millisecond {
		t.Errorf("the sound is %v early", d)
	}
	s.a.Leave()
	s.flush()
	got := strings.Join(s.lines, "\n")
	if strings.Count(got, "period at") != 1 || strings.Contains(got, "left out") || !strings.Contains(got, "audio: pause") {
		t.Errorf("it was decided\n%s", got)
	}
}

// A first picture that comes late to a recording of sound, and is held up on its way, goes
// where its track's first report tells that it was made: the sound stays where it is.
func TestLatePictureHeldUp(t *testing.T) {
	s := newScript(t)
	s.video = false
	s.play(12100 * time.Millisecond)
	s.video, s.late = true, 60*time.Millisecond
	s.play(pictureEvery)
	s.late = 0
	s.play(10 * time.Second)
	s.a.Leave()
	s.flush()
	s.expectSound(t, 1100, 0)
	if got := strings.Join(s.lines, "\n"); !strings.Contains(got, "period at 12.04s") || strings.Contains(got, "corrected") {
		t.Errorf("it was decided\n%s", got)
	}
}

// Pictures after a pause whose timestamps have gone on by much less than that, or have gone back
// a little, are of other timestamps: no network holds up so much and loses so much.
func TestJumpBackInPause(t *testing.T) {
	for _, pause := range []time.Duration{12 * time.Second, 6400 * time.Millisecond} {
		s := newScript(t)
		s.report = time.Hour
		s.play(3 * time.Second)
		s.video = false
		s.play(pause)
		s.video, s.number, s.late = true, 0, 7*time.Second
		s.play(4 * time.Second)
		s.a.Leave()
		s.flush()
		want := fmt.Sprintf("sent, %d to", ticks(3*time.Second+pause, videoRate))
		if !slices.ContainsFunc(s.lines, func(line string) bool { return strings.Contains(line, "video") && strings.Contains(line, want) }) {
			t.Errorf("after %v the picture does not go on at its time:\n%s", pause, strings.Join(s.lines, "\n"))
		}
	}
}
