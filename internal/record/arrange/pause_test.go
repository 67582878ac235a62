package arrange

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// pause pauses the recording for a while.
func (s *script) pause(d time.Duration) {
	s.a.Pause(s.now())
	s.paused = true
	s.play(d)
	s.resume()
}

func (s *script) resume() {
	s.a.Resume(s.now())
	s.paused = false
}

// What is recorded around pauses, and what is missing because of them, is what the golden
// files have.
func TestPauses(t *testing.T) {
	for name, live := range map[string]func(*script){
		"paused": func(s *script) {
			s.play(3500 * time.Millisecond)
			s.pause(2 * time.Second) // the next key frame comes half a second later
			s.play(3 * time.Second)
		},
		"paused_twice": func(s *script) {
			s.play(2 * time.Second)
			s.pause(time.Second)
			s.a.Pause(s.now())
			s.pause(time.Second) // it is already
			s.play(2 * time.Second)
			s.pause(time.Second)
			s.play(2 * time.Second)
		},
		"paused_over_reconnect": func(s *script) {
			s.play(2 * time.Second)
			s.a.Pause(s.now())
			s.paused = true
			s.play(time.Second)
			s.a.Leave()
			s.at += time.Second
			s.join(t)
			s.play(time.Second)
			s.resume()
			s.play(2 * time.Second)
		},
		"paused_while_away": func(s *script) {
			s.play(2 * time.Second)
			s.a.Leave()
			s.at += 2 * time.Second
			s.a.Pause(s.now())
			s.at += 2 * time.Second
			s.a.Resume(s.now())
			s.at += 2 * time.Second
			s.join(t)
			s.play(2 * time.Second)
		},
		"paused_over_rotation": func(s *script) {
			s.a.RotateAt(3 * time.Second)
			s.play(2 * time.Second)
			s.pause(3 * time.Second)
			s.play(2 * time.Second)
		},
		"paused_before_media": func(s *script) {
			s.a.Pause(s.now())
			s.pause(2500 * time.Millisecond)
			s.play(2 * time.Second)
		},
		"paused_simulcast": func(s *script) {
			s.video, s.layers = false, []simulated{{keys: "k...k...k...k...k"}, {keys: "k...k...k...----k..."}}
			s.join(t)
			s.play(4 * time.Second)
			s.pause(2 * time.Second)
			s.play(3 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			live(s)
			s.hold(t, name)
		})
	}
}

// Nobody asks for key frames during a pause, and at its end one is asked for at once.
func TestPauseAsksForNothing(t *testing.T) {
	s := newScript(t)
	s.gop = 1000
	s.play(3 * time.Second)
	s.a.Pause(s.now())
	s.paused = true
	before := s.asked
	s.play(30 * time.Second)
	if s.asked != before {
		t.Errorf("%d key frames were asked for in a pause", s.asked-before)
	}
	s.resume()
	if s.asked != before+1 {
		t.Errorf("%d key frames were asked for at its end, want one", s.asked-before)
	}
}

// Sender and receiver clocks that run apart meet behind a pause where the sender says.
func TestPauseKeepsSync(t *testing.T) {
	s := newScript(t)
	s.slip = 300 * time.Millisecond
	s.play(3 * time.Second)
	s.pause(time.Minute)
	s.play(3 * time.Second)
	s.a.Leave()
	i := slices.IndexFunc(s.lines, func(l string) bool { return strings.Contains(l, "audio: paused") })
	if i < 0 {
		t.Fatalf("no gap of the sound:\n%s", strings.Join(s.lines, "\n"))
	}
	last := s.sounds[len(s.sounds)-1]
	if want := ticks(s.at-soundEvery, audioRate); int64(last) < want-960 || int64(last) > want+960 {
		t.Errorf("the last sound is at %d, want %d", last, want)
	}
}
