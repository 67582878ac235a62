package arrange

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// script drives an Arranger with pictures of 10 a second and sound of 50 packets a
// second, and notes what it decides, a line for each call. Runs of samples that
// follow on are one line.
type script struct {
	a      *Arranger
	lines  []string
	run    map[Lane]*run
	zero   time.Time
	at     time.Duration // up to which everything has happened
	gop    int           // pictures from one key frame to the next
	video  bool          // is sent
	behind bool          // pictures come after the sound of their time
	audio  bool
	number int // of the next picture
	asked  int // key frames
	layers []simulated
	slip   time.Duration // by which the sound's timestamps are behind
	slow   bool          // for the network holds it up, which the reports do not show
	late   time.Duration // by which pictures come later
	report time.Duration // from one report to the next
	sounds []media.Ticks // where sound was placed that was sent
	failed bool          // storage fails
	paused bool          // the recording is
}

// simulated is a layer of simulcast. Its pictures have the timestamps of the others'.
type simulated struct {
	keys  string        // a letter for each half second: k for a key frame then, . for none, - for no pictures at all
	delay time.Duration // of all that it sends
}

// run is samples that follow on.
type run struct {
	first, last media.Ticks
	n           int
	what        string
}

const (
	pictureEvery = 100 * time.Millisecond
	soundEvery   = 20 * time.Millisecond
	videoRate    = 90000
	audioRate    = 48000
)

var (
	videoFormat = &media.Format{Codec: "H264", RFC6381: "avc1.42C01F", Timescale: videoRate, Width: 640, Height: 360}
	audioFormat = &media.Format{Codec: "opus", RFC6381: "opus", Timescale: audioRate, Channels: 2}
)

func newScript(t *testing.T) *script {
	t.Helper()
	s := &script{run: map[Lane]*run{}, zero: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), gop: 10, video: true, audio: true, report: time.Second}
	s.a = New(Options{SegmentDuration: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}, s)
	s.join(t)
	return s
}

// join begins a publication.
func (s *script) join(t *testing.T) {
	t.Helper()
	names := []string{"H264", "opus"}
	for range s.layers[min(1, len(s.layers)):] {
		names = append(names, "H264")
	}
	joining := tracks(t, names...)
	for i := range joining {
		if lane := joining[i].Lane; len(s.layers) > 0 && lane.Kind == media.Video {
			joining[i].RID = fmt.Sprint(lane.Layer)
		}
	}
	s.number = 0
	s.a.Join(s.now(), joining)
}

// tracks returns the tracks of a publication: a video, its sound, and other layers.
func tracks(t testing.TB, codecs ...string) []Track {
	t.Helper()
	var all []Track
	for id, name := range codecs {
		c, ok := codec.Lookup(name)
		if !ok {
			t.Fatalf("no codec %s", name)
		}
		all = append(all, Track{
			Track: media.Track{ID: media.TrackID(id), Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels, MID: name},
			Lane:  Lane{Kind: c.Kind, Layer: max(0, id-1)}, Codec: c,
		})
	}
	return all
}

func (s *script) now() time.Time { return s.zero.Add(s.at) }

// play lets time go by.
func (s *script) play(d time.Duration) {
	for end := s.at + d; s.at < end; s.at += soundEvery {
		if s.video && s.at%pictureEvery == 0 && !s.behind {
			s.picture()
		}
		for i := range s.layers {
			s.layer(i)
		}
		if s.audio {
			s.frame(1, sound(s.at-s.slip))
		}
		if s.video && s.at%pictureEvery == 0 && s.behind {
			s.picture()
		}
		if s.at%s.report == 0 {
			for id, rate := range []int64{videoRate, audioRate} {
				at := s.at - time.Duration(id)*s.slip
				if s.slow {
					at = s.at
				}
				s.a.Report(&media.SenderReport{
					Track: media.TrackID(id), NTP: media.NTP(s.now().Add(123 * time.Millisecond)), RTP: uint32(ticks(at, rate)), Arrival: s.now(),
				})
			}
		}
		if s.at%(200*time.Millisecond) == 0 {
			s.a.Advance(s.now())
		}
	}
}

// sound is a packet that was made at a time.
func sound(at time.Duration) *media.Frame {
	return &media.Frame{Timestamp: ticks(at, audioRate), Duration: 960, Key: true, Format: audioFormat, Data: []byte("sound of 20 ms")}
}

func (s *script) picture() {
	key := s.number%s.gop == 0
	s.frame(0, &media.Frame{Timestamp: ticks(s.at-s.late, videoRate), Key: key, Format: videoFormat, Data: fmt.Appendf(nil, "picture %d", s.number)})
	s.number++
}

// layer sends the picture of a layer that is due.
func (s *script) layer(i int) {
	l := &s.layers[i]
	at := s.at - l.delay
	half := int(at / (500 * time.Millisecond))
	if at < 0 || at%pictureEvery != 0 || half >= len(l.keys) || l.keys[half] == '-' {
		return
	}
	key := l.keys[half] == 'k' && at%(500*time.Millisecond) == 0
	s.frame(trackOf(i), &media.Frame{Timestamp: ticks(at, videoRate), Key: key, Format: videoFormat, Data: fmt.Appendf(nil, "picture of layer %d at %v", i, at)})
}

// trackOf returns the id of a layer's track.
func trackOf(layer int) media.TrackID {
	if layer > 0 {
		layer++
	}
	return media.TrackID(layer)
}

func (s *script) frame(id media.TrackID, f *media.Frame) {
	f.Track, f.Arrival = id, s.now()
	s.a.Packet(id, f.Arrival)
	if s.failed || s.paused {
		s.a.Watch(id, f)
		return
	}
	s.a.Frame(id, f)
}

func ticks(d time.Duration, rate int64) int64 { return int64(media.TicksOf(d, uint32(rate))) }

func (s *script) note(format string, args ...any) {
	s.flush()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// flush ends the runs of samples.
func (s *script) flush() {
	for _, l := range []Lane{{Kind: media.Video}, {Kind: media.Audio}, {Kind: media.Video, Layer: 1}, {Kind: media.Video, Layer: 2}} {
		s.end(l)
	}
}

// end ends the run of a lane.
func (s *script) end(l Lane) {
	r := s.run[l]
	if r == nil {
		return
	}
	delete(s.run, l)
	s.lines = append(s.lines, fmt.Sprintf("  %s: %d × %s, %d to %d", l, r.n, r.what, r.first, r.last))
}

// The calls of Output.

func (s *script) BeginRecording(at time.Duration) { s.note("recording at %v", at) }

func (s *script) BeginPeriod(at time.Duration, lanes []Lane) {
	s.note("period at %v with %v", at, lanes)
}

func (s *script) Enter(l Lane, f *media.Format, at media.Ticks) {
	s.note("%s enters at %d, %dx%d", l, at, f.Width, f.Height)
}

func (s *script) Sample(l Lane, sample Sample) {
	if l.Kind == media.Audio && !sample.Filler {
		s.sounds = append(s.sounds, sample.Time)
	}
	what := map[bool]string{true: "filled", false: "sent"}[sample.Filler]
	if sample.Cut {
		s.end(l)
		s.lines = append(s.lines, fmt.Sprintf("segment of %s at %d, key %v", l, sample.Time, sample.Key))
	}
	s.add(l, what, sample.Time)
}

// add has a run go on, or begins one.
func (s *script) add(l Lane, what string, at media.Ticks) {
	r := s.run[l]
	if r == nil || r.what != what {
		s.end(l)
		r = &run{first: at, what: what}
		s.run[l] = r
	}
	r.n++
	r.last = at
}

func (s *script) End(l Lane, at media.Ticks) { s.note("%s ends at %d", l, at) }

func (s *script) Gap(l Lane, g Gap) {
	s.note("%s: %s from %v to %v, filled %v", l, g.Cause, g.Start, g.End, g.Filled)
}

func (s *script) LeftOut(l Lane) { s.add(l, "left out", media.Ticks(ticks(s.at, videoRate))) }

func (s *script) BeforeKey(l Lane, pictures int, waited time.Duration) {
	s.note("%s: %d pictures before the first key frame, after %v", l, pictures, waited)
}

func (s *script) Corrected(l Lane) { s.note("%s: corrected", l) }

func (s *script) WantKeyFrame(media.TrackID) { s.asked++ }

// What is decided in some lives of a stream is what was looked at once and found
// right: the golden files in testdata.
func TestGolden(t *testing.T) {
	for name, live := range map[string]func(*script){
		"plain": func(s *script) { s.play(7 * time.Second) },
		"late_sound": func(s *script) {
			s.audio = false
			s.play(6 * time.Second)
			s.audio = true
			s.play(3 * time.Second)
		},
		"late_picture": func(s *script) {
			s.video = false
			s.play(8 * time.Second)
			s.video = true
			s.play(3 * time.Second)
		},
		// The sound has begun a segment when the picture of that time comes.
		"late_picture_behind": func(s *script) {
			s.video, s.behind = false, true
			s.play(8 * time.Second)
			s.video = true
			s.play(3 * time.Second)
		},
		"camera_off": func(s *script) {
			s.play(3 * time.Second)
			s.video = false
			s.play(12 * time.Second)
			s.video, s.number = true, 0
			s.play(3 * time.Second)
		},
		"camera_off_goes_on_in_gop": func(s *script) {
			s.play(3500 * time.Millisecond)
			s.video = false
			s.play(8 * time.Second)
			s.video = true
			s.play(2 * time.Second)
		},
		"single_key_frame": func(s *script) {
			s.play(soundEvery)
			s.video = false
			s.play(12 * time.Second)
		},
		"no_key_frame_any_more": func(s *script) {
			s.gop = 1000
			s.play(14 * time.Second)
		},
		"rotation": func(s *script) {
			s.a.RotateAt(4 * time.Second)
			s.play(7 * time.Second)
		},
		"reconnect": func(s *script) {
			s.play(3 * time.Second)
			s.a.Leave()
			s.at += 2 * time.Second
			s.join(t)
			s.play(3 * time.Second)
		},
		"loss": func(s *script) {
			s.play(3 * time.Second)
			s.video = false
			s.play(700 * time.Millisecond)
			s.a.Missing(0, CauseLoss)
			s.video, s.number = true, 0
			s.play(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			live(s)
			s.hold(t, name)
		})
	}
}

// hold ends the publication and holds what was decided against a golden file.
func (s *script) hold(t *testing.T, name string) {
	t.Helper()
	s.a.Leave()
	s.flush()
	got := strings.Join(s.lines, "\n") + "\n"
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("decided\n%s\nwant\n%s", got, want)
	}
}

// Layers of simulcast, whose key frames are where they are, and how their segments
// are cut.
func TestGoldenLayers(t *testing.T) {
	for name, layers := range map[string][]simulated{
		"layers":               {{keys: "k...k...k...k..."}, {keys: "k...k...k...k...", delay: 20 * time.Millisecond}},
		"layers_other_scenes":  {{keys: "k.k.k.k.k.k.k.k.k.k."}, {keys: "k..kk..kk..kk..kk..kk"}, {keys: "k.......k.......k..."}},
		"layers_no_common_key": {{keys: "k...k...k...k...k...k...k..."}, {keys: "k..k...k...k...k...k...kk..."}},
		"layer_late":           {{keys: "k.k.k.k.k.k.k.k."}, {keys: "..k...k...k...k.", delay: 20 * time.Millisecond}},
		"layer_behind":         {{keys: "k...k...k...k..."}, {keys: "k...k...k...k...", delay: 1500 * time.Millisecond}},
		"layer_off":            {{keys: "k...k...k...k...k...k..."}, {keys: "k...k...------k.k...k..."}},
		"layer_off_shortly":    {{keys: "k...k...k...k...k...k..."}, {keys: "k...k...---k.k..k...k..."}},
		"layers_deaf":          {{keys: "k..........................."}, {keys: "k...........................", delay: 20 * time.Millisecond}},
		"lead_off":             {{keys: "k...k...------k.k...k..."}, {keys: "k...k...k...k...k...k..."}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.a.Leave()
			s.lines, s.video, s.layers = nil, false, layers
			s.join(t)
			s.play(time.Duration(len(layers[0].keys)) * 500 * time.Millisecond)
			s.hold(t, name)
		})
	}
}

// Nothing that a sender does makes it panic: timestamps, keys, losses, pauses and
// reports of any kind.
func FuzzArranger(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{20, 20, 20, 20, 200, 20, 20, 9, 9, 9, 20, 7, 20, 20, 6})
	f.Fuzz(func(t *testing.T, deeds []byte) {
		s := newScript(t)
		for _, d := range deeds[:min(len(deeds), 300)] {
			switch d % 12 {
			case 0:
				s.video = !s.video
			case 1:
				s.audio = !s.audio
			case 2:
				s.a.Missing(media.TrackID(d/12%2), CauseLoss)
			case 3:
				s.a.Restarted(media.TrackID(d / 12 % 2))
			case 4:
				s.gop = int(d)/12 + 1
			case 5:
				s.at += time.Duration(d) * soundEvery
			case 6:
				s.a.RotateAt(s.at + time.Second)
			case 7:
				s.a.Leave()
				s.join(t)
			case 8:
				s.a.Fail()
			case 9:
				s.frame(0, &media.Frame{Timestamp: int64(d) << 20, Key: d&64 != 0, Format: videoFormat, Data: []byte("picture")})
			default:
				s.play(time.Duration(d) * soundEvery)
			}
		}
		s.a.Leave()
	})
}

// A segment of sound that began with a short packet, as one that stands for a loss is,
// is not longer than the others for that.
func TestSoundOfAnotherPacketDuration(t *testing.T) {
	a := newScript(t).a
	c, _ := codec.Lookup("opus")
	l := &lane{Lane: Lane{Kind: media.Audio}, codec: c}
	at, cuts := media.Ticks(0), []media.Ticks{0}
	for i := range 120 {
		s := Sample{Time: at, Duration: 5760}
		if i < 3 {
			s.Duration = 960
		}
		if a.cutsSound(l, &s) {
			l.segment = at
			cuts = append(cuts, at)
		}
		l.wrote = true
		at += s.Duration
	}
	for i, end := range append(cuts[1:], at) {
		if d := end - cuts[i]; d > 2*48000+5760 {
			t.Errorf("the segment from %d lasts %v, the target is 2 s", cuts[i], d.Duration(48000))
		}
	}
	if len(cuts) < 6 {
		t.Errorf("cuts at %v", cuts)
	}
}

// A key frame a little before the target is good enough to cut at, for those that were
// asked for come early. One is asked for once for a segment, and again after each
// further target.
func TestCuts(t *testing.T) {
	a := newScript(t).a
	c, _ := codec.Lookup("H264")
	l := &lane{Lane: Lane{Kind: media.Video}, codec: c}
	for at, want := range map[time.Duration]bool{1700 * time.Millisecond: false, 1800 * time.Millisecond: true, 30 * time.Second: true} {
		if got := a.cuts(l, l.ticks(at)); got != want {
			t.Errorf("a key frame at %v cuts: %v", at, got)
		}
	}
	var asked []time.Duration
	for at := time.Duration(0); at < 7*time.Second; at += pictureEvery {
		if l.at = l.ticks(at); a.keyFrameDue(l) {
			asked = append(asked, at)
		}
	}
	if want := []time.Duration{1800 * time.Millisecond, 3800 * time.Millisecond, 5800 * time.Millisecond}; !slices.Equal(asked, want) {
		t.Errorf("asked for key frames at %v, want %v", asked, want)
	}
}

// Sound whose timestamps jump while it waits for the first picture is recorded whole: what
// came before the jump is in front of the rest.
func TestJumpWhileSoundWaits(t *testing.T) {
	s := newScript(t)
	s.video = false
	s.play(3 * time.Second)
	s.slip = -20 * time.Second
	s.play(5 * time.Second)
	s.a.Leave()
	s.expectSound(t, 400, 0)
}

// Sound whose first packets have their place waits all the same where the publisher came while
// storage failed and no report tells of the clocks: what has waited for long is told of, once,
// until it is written.
func TestSoundThatWaitsIsTold(t *testing.T) {
	s := newScript(t)
	s.at, s.report, s.failed = time.Second, time.Hour, true // none comes
	s.play(8 * time.Second)
	s.failed, s.number = false, 0
	s.play(4 * time.Second)
	told := func() int {
		_, samples := s.a.Waiting(s.now().Add(-500*time.Millisecond), false)
		return len(samples)
	}
	if n := told(); !s.a.pub.audio.placed || n == 0 || !s.a.Waits() {
		t.Errorf("placed %v: %d packets are told of, of %d that wait", s.a.pub.audio.placed, n, len(s.a.pub.audio.held))
	}
	if n := told(); n > 0 {
		t.Errorf("%d packets are told of twice", n)
	}
	s.play(3 * time.Second)
	if n := told(); n > 0 || s.a.Waits() {
		t.Errorf("%d packets are told of that are written", n)
	}
}

// Timestamps that jump back while a sender pauses, by hardly more than the pause, seem to go
// back a little. What comes then is where the arrivals have it.
func TestJumpBackWithinPause(t *testing.T) {
	s := newScript(t)
	s.at, s.report = time.Second, time.Hour // none comes
	s.play(9 * time.Second)
	s.video = false
	s.play(6 * time.Second)
	s.video, s.number, s.late = true, 0, 6500*time.Millisecond
	s.play(3 * time.Second)
	s.a.Leave()
	s.flush()
	got := strings.Join(s.lines, "\n")
	if want := fmt.Sprintf("× sent, %d to ", ticks(15*time.Second, videoRate)); !strings.Contains(got, want) {
		t.Errorf("%q is not among: %s", want, got)
	}
}
