package arrange

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// Where pictures have been held up, and the sound of their time is written, a recording is
// rotated behind that: its sound and its picture end together.
func TestRotationBehindSound(t *testing.T) {
	s := newScript(t)
	s.a.RotateAt(3 * time.Second)
	s.play(2100 * time.Millisecond)
	s.video = false
	s.play(3500 * time.Millisecond) // the sound waits for the picture for two seconds
	for at := 2100 * time.Millisecond; at < s.at; at += pictureEvery {
		s.late = s.at - at
		s.picture()
	}
	s.late, s.video = 0, true
	s.play(2 * time.Second)
	s.flush()
	if !slices.Contains(s.lines, "recording at 4s") || !slices.Contains(s.lines, "audio ends at 192000") {
		t.Errorf("the sound was written up to 3.6 s, and the recording is not rotated at 4 s: %q", s.lines)
	}
}

// Sound that is still in the Period before the current one is not corrected: that would
// bring it beyond the end.
func TestSoundOfPeriodBefore(t *testing.T) {
	s := newScript(t)
	s.play(3 * time.Second)
	f := sound(s.at)
	s.a.soundLane().audio.check = true
	if !s.a.correctable(s.a.pub.audio, f) {
		t.Fatal("none may be made in the current Period")
	}
	s.a.cur = &period{at: s.at}
	if s.a.correctable(s.a.pub.audio, f) {
		t.Error("sound of the Period before is corrected")
	}
}

// Another layer begins a Period when the lead has lost its frames for a while. Sound has not
// got further than where that begins.
func TestOtherLeadBehindSound(t *testing.T) {
	s := newScript(t)
	s.a.Leave()
	s.lines, s.video, s.layers = nil, false, []simulated{{keys: "k...."}, {keys: "-----k........."}}
	s.join(t)
	for s.at < 7*time.Second {
		s.play(soundEvery)
		s.a.Packet(0, s.now()) // of frames that are lost
	}
	s.flush()
	got := strings.Join(s.lines, "\n")
	if !strings.Contains(got, "period at 2.5s with [video-2 audio]") || !strings.Contains(got, "\naudio ends at 120000\n") {
		t.Errorf("the sound of 2.5 s is in the Period before: %s", got)
	}
}

// A recording is rotated where its publisher sends no picture, unlike the one before: the next
// recording is not said to have one.
func TestRotationWithoutPicture(t *testing.T) {
	s := newScript(t)
	s.a.RotateAt(6 * time.Second)
	s.play(2 * time.Second)
	s.a.Leave()
	s.at += time.Second
	c, _ := codec.Lookup("opus")
	s.a.Join(s.now(), []Track{{
		Track: media.Track{ID: 1, Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels}, Lane: Lane{Kind: c.Kind}, Codec: c,
	}})
	s.video = false
	s.play(10 * time.Second)
	s.a.Leave()
	s.flush()
	got := strings.Join(s.lines, "\n")
	_, after, rotated := strings.Cut(got, "\nrecording at ")
	if !rotated || strings.Contains(after, "video enters") || !strings.Contains(after, "with [audio]") {
		t.Errorf("the recording that has sound alone begins so: %s", got)
	}
}

// A Period in which there is no room for a packet of sound has sound all the same, however
// it ends: the publisher leaves right after its first picture, or changes its format. The
// last packet of sound lasts from before that picture until after it.
func TestShortPeriodHasSound(t *testing.T) {
	for want, then := range map[string]func(*script){
		"\nvideo ends at 271650\naudio ends at 144960": func(*script) {},
		"\nperiod at 3.02s with [video audio]\nvideo ends at 271800": func(s *script) { // not in the middle of the packet

			s.at += 10 * time.Millisecond
			other := *videoFormat
			other.Width, other.Height = 320, 180
			s.frame(0, &media.Frame{Timestamp: ticks(s.at, videoRate), Key: true, Format: &other, Data: []byte("other")})
			s.at += 5 * time.Millisecond
			s.play(500 * time.Millisecond)
		},
	} {
		t.Run(want, func(t *testing.T) {
			s := newScript(t)
			s.a.RotateAt(3 * time.Second)
			s.play(2980 * time.Millisecond)
			last := sound(s.at)
			last.Data = []byte("\xfc lasts 20 ms, and so does silence after it")
			s.frame(1, last)
			s.at += 5 * time.Millisecond
			s.picture()
			then(s)
			s.a.Leave()
			s.flush()
			got := strings.Join(s.lines, "\n")
			if !strings.Contains(got, "recording at 2.985s\nperiod at 2.985s with [video audio]") || !strings.Contains(got, want) {
				t.Errorf("not rotated so, and %q after it: %s", want, got)
			}
			for i, p := range strings.Split(got, "\nperiod at ") {
				if !strings.Contains(p, "audio enters") {
					t.Errorf("Period %d has no sound: %s", i, p)
				}
			}
		})
	}
}

// A recording is rotated while its only layer has stopped, and another sends no key frame:
// the last picture stands in the next recording, too.
func TestRotationWithoutLayers(t *testing.T) {
	s := newScript(t)
	s.a.Leave()
	s.lines, s.video, s.layers = nil, false, []simulated{{keys: "k...k."}, {keys: "-........................"}}
	s.join(t)
	s.a.RotateAt(6 * time.Second)
	s.play(12 * time.Second)
	s.a.Leave()
	s.flush()
	_, after, rotated := strings.Cut(strings.Join(s.lines, "\n"), "\nrecording at ")
	if !rotated || !strings.Contains(after, "video enters") {
		t.Errorf("the recording after it begins so: %s", after)
	}
}
