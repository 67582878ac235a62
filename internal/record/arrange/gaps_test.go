package arrange

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// filled notes how much of the sound is called filled, and how much is.
type filled struct {
	*script
	last Gap
	told time.Duration // of all gaps but the last
	gaps int
	is   time.Duration
}

func (f *filled) Sample(l Lane, s Sample) {
	if l.Kind == media.Audio && s.Filler {
		f.is += s.Duration.Duration(audioRate)
	}
}

// Gap takes the place of the last one if it begins where that does.
func (f *filled) Gap(l Lane, g Gap) {
	if l.Kind != media.Audio || !g.Filled {
		return
	}
	if g.Start != f.last.Start {
		f.told += f.last.End - f.last.Start
		f.gaps++
	}
	f.last = g
}

// Silence is told of before it is written. Sound that the network has held up, in longer
// packets, comes when that has just begun: no more is called filled than is.
func TestToldIsFilled(t *testing.T) {
	const packet = 120 * time.Millisecond
	for hole := 9 * time.Millisecond; hole < packet/2; hole += 10 * time.Millisecond {
		for held := fillLag; held < fillLag+200*time.Millisecond; held += soundEvery {
			f := &filled{script: newScript(t)}
			f.a = New(Options{SegmentDuration: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}, f)
			f.join(t)
			f.heldUp(packet, hole, held)
			if f.told > f.is+time.Duration(f.gaps)*packet {
				t.Errorf("sound with a hole of %v is held up for %v: %v are called filled, %v are", hole, held, f.told, f.is)
			}
		}
	}
}

// Sound that does not come is told of before its silence is written, also where that is
// still in the recording before the one that has begun.
func TestSilenceBehindRotationIsTold(t *testing.T) {
	f := &filled{script: newScript(t)}
	f.a = New(Options{SegmentDuration: time.Second, Log: slog.New(slog.DiscardHandler)}, f)
	f.join(t)
	f.a.RotateAt(8 * time.Second)
	f.play(time.Second)
	f.audio = false
	for f.at < 11*time.Second {
		f.play(200 * time.Millisecond)
		if f.told+f.last.End-f.last.Start < f.is {
			t.Fatalf("at %v there are %v of silence, and %v are told of", f.at, f.is, f.last.End-f.last.Start)
		}
	}
	if f.is < 5*time.Second {
		t.Errorf("there are %v of silence in 10 s, which is written 4 s later", f.is)
	}
}

// A picture that stands up to where a recording is rotated does so in that recording: its
// ledger tells of nothing that is behind its end.
func TestRotationWhilePictureStands(t *testing.T) {
	s := newScript(t)
	s.a.Leave()
	s.audio = false
	c, _ := codec.Lookup("H264")
	s.a.Join(s.now(), []Track{{
		Track: media.Track{Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate}, Lane: Lane{Kind: c.Kind}, Codec: c,
	}})
	s.a.RotateAt(4 * time.Second)
	s.play(3 * time.Second)
	s.video = false
	s.play(7 * time.Second)
	told := slices.Index(s.lines, "video: pause from 3s to 4s, filled true")
	if rotated := slices.Index(s.lines, "recording at 4s"); told < 0 || rotated < told {
		t.Errorf("decided %q", s.lines)
	}
}

// What is missing in a layer is known when its next key frame has come, and that may be the
// one with which a recording is rotated.
func TestLayerLostBeforeRotation(t *testing.T) {
	s := newScript(t)
	s.a.Leave()
	s.lines, s.video, s.layers = nil, false, []simulated{{keys: "k...k...k...k..."}, {keys: "k...k---k...k..."}}
	s.join(t)
	s.a.RotateAt(4 * time.Second)
	for s.at < 4*time.Second {
		s.play(soundEvery)
		s.a.Packet(trackOf(1), s.now())
	}
	s.a.Missing(trackOf(1), CauseLoss)
	s.play(2 * time.Second)
	if want := "video-2: loss from 2.5s to 4s, filled true"; !slices.Contains(s.lines, want) {
		t.Errorf("%q is not told: %q", want, s.lines)
	}
}

// Sound that comes late with a publisher who is back has a hole and silence behind it, which
// are told of in that order.
func TestGapsAreInOrder(t *testing.T) {
	s := newScript(t)
	s.play(3 * time.Second)
	s.a.Leave()
	s.at += 2 * time.Second
	s.join(t)
	s.audio = false
	s.play(time.Second)
	s.audio = true
	s.play(3 * time.Second)
	s.flush()
	hole, silence := slices.Index(s.lines, "audio: reconnect from 3s to 5s, filled false"), slices.Index(s.lines, "audio: pause from 5s to 6s, filled true")
	if hole < 0 || silence < hole {
		t.Errorf("decided %q", s.lines)
	}
}

// heldUp plays a publication whose sound has a hole, and is held up for some time.
func (f *filled) heldUp(packet, hole, held time.Duration) {
	f.play(4980 * time.Millisecond)
	from := f.at + hole
	f.audio = false
	f.play(held)
	for at := from; at < f.at; at += packet {
		p := sound(at)
		p.Duration = media.TicksOf(packet, audioRate)
		f.frame(1, p)
	}
	f.audio = true
	f.play(3 * time.Second)
	f.a.Leave()
	f.told += f.last.End - f.last.Start
}

// What a layer lacks that its publisher began later, after another one had left, is of both
// causes.
func TestLayerLateAfterReconnect(t *testing.T) {
	s := newScript(t)
	s.a.Leave()
	s.lines, s.video, s.layers = nil, false, []simulated{{keys: "k.k.k.k.--k.k.k.k.k.k."}, {keys: "k.k.k.k.--------k.k.k."}}
	s.join(t)
	s.play(4 * time.Second)
	s.a.Leave()
	s.audio = false
	s.play(time.Second)
	s.audio = true
	s.join(t)
	s.play(6 * time.Second)
	s.a.Leave()
	s.flush()
	got := strings.Join(s.lines, "\n")
	for _, want := range []string{
		"video: reconnect from 4s to 5s, filled false", "video-2: reconnect from 4s to 5s, filled false",
		"video-2: layer from 5s to 9s, filled false",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it is not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// What was lost in a recording that storage has ended, or of which nothing came since, is not
// missing in the next one.
func TestLossOfRecordingBefore(t *testing.T) {
	for name, between := range map[string]func(*script){
		"storage fails": func(s *script) {
			s.failed = true
			s.a.Fail()
			s.a.Missing(0, CauseLoss)
			s.play(2 * time.Second) // with a key frame, of which nobody asks
			s.failed, s.video = false, false
		},
		"rotation": func(s *script) {
			s.a.Missing(0, CauseLoss)
			s.video = false
			s.a.RotateAt(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.play(3 * time.Second)
			between(s)
			s.lines = nil
			s.play(14 * time.Second)
			s.a.Leave()
			s.flush()
			got := strings.Join(s.lines, "\n")
			if _, rotated, ok := strings.Cut(got, "recording at 1"); ok {
				got = rotated
			}
			if !strings.Contains(got, "video: absent") && !strings.Contains(got, "video: pause") || strings.Contains(got, "video: loss") {
				t.Errorf("nothing was lost of the picture in: %s", got)
			}
		})
	}
}

// Timestamps that hardly go on over a time of which packets are missing have jumped: a clock
// that stands still loses nothing.
func TestJumpBehindLoss(t *testing.T) {
	for _, lost := range []bool{false, true} {
		s := newScript(t)
		s.play(3 * time.Second)
		from := s.at
		s.video = false
		s.play(8 * time.Second)
		if lost {
			s.a.Missing(0, CauseLoss)
		}
		if got := s.a.hasJumped(s.a.source(0), &media.Frame{Timestamp: ticks(from, videoRate), Arrival: s.now()}); got != lost {
			t.Errorf("after 8 s with missing packets (%v), the timestamp that is next: jumped %v", lost, got)
		}
	}
}
