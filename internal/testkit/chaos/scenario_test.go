package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Scenario is what happens in one run. All times are since its beginning, by the
// clock of the world, which goes on while the node stands still.
type Scenario struct {
	Seed         uint64
	Segment      time.Duration
	Chunk        time.Duration
	Reconnect    time.Duration
	MaxRecording time.Duration
	Manual       time.Duration // when the recording is started on request; 0: by itself
	Lives        []Life
	Faults       []Fault
	End          time.Duration
}

// Life is one publisher, from its coming to its going.
type Life struct {
	At, For time.Duration
	Video   []string // sources: several are layers
	Audio   string
	EqualTS bool   // layers have the same timestamps
	Obeys   bool   // makes a key frame when asked
	Vanish  bool   // is missed only after 10 s
	Off     []Off  // when tracks send nothing
	Turns   []Turn // what happens to its clocks and numbers
	Net     Net
	Clock   Clock
}

// Off is a time, in a life, in which a track sends nothing.
type Off struct {
	Track   int // index: the video's layers, then the audio
	At, For time.Duration
	Key     bool // it comes back with a key frame
}

// Turn is something that happens to all tracks of a life at a time.
type Turn struct {
	At    time.Duration
	SSRC  bool          // another stream
	Seq   uint16        // the sequence numbers jump by so much
	Stamp time.Duration // the timestamps jump by so much
}

// Net is a network.
type Net struct {
	Loss      float64 // share of packets
	Burst     int     // packets lost in a row
	Again     float64 // share of the lost ones that come later, sent again
	Reorder   float64
	Duplicate float64
	Jitter    time.Duration
	Outages   []Span // of the life
}

// Span is a stretch of time.
type Span struct{ At, For time.Duration }

func (s Span) has(t time.Duration) bool { return t >= s.At && t < s.At+s.For }

// Clock is how a publisher tells the time.
type Clock struct {
	Reports string        // "exact", "sent", "jitter", "whole" or "" for none
	Delay   time.Duration // most, from capture to sending
	PPM     float64       // of the audio
}

// Fault is something that happens to the node.
type Fault struct {
	Kind    string // "crash", "standstill", "storage fails", "storage is slow"
	At, For time.Duration
}

// String has a line for each life and each fault.
func (sc *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: segment %v, chunk %v, reconnect %v, max %v, manual %v, end %v\n",
		sc.Seed, sc.Segment, sc.Chunk, sc.Reconnect, sc.MaxRecording, sc.Manual, sc.End)
	for i := range sc.Lives {
		fmt.Fprintf(&b, "  life %+v\n", sc.Lives[i])
	}
	for i := range sc.Faults {
		fmt.Fprintf(&b, "  fault %+v\n", sc.Faults[i])
	}
	return b.String()
}

// dice draws what a scenario is made of.
type dice struct{ *rand.Rand }

func (d dice) chance(p float64) bool { return d.Float64() < p }

// between returns a time in whole milliseconds.
func (d dice) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.Int64N(int64(to-from)+1))).Round(time.Millisecond)
}

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// videos are the sources that a single encoding may have, ladders those of simulcast.
var (
	videos = []string{
		"h264_baseline.h264", "h264_high.h264", "h264_slices.h264", "h264_small.h264", "h265.h265", "h265_slices.h265",
		"vp9.ivf", "vp8.ivf", "av1.ivf", sourceRare, sourceOnce,
	}
	ladders = [][]string{
		{"h264_baseline.h264", "h264_small.h264"}, {"vp9.ivf", "vp9_small.ivf"}, {"h264_small.h264", "h264_baseline.h264"},
		{"h264_baseline.h264", "h264_small.h264", "h264_small.h264"},
	}
	audios = []string{"opus_stereo.ogg", "opus_mono.ogg"}
)

// Generate makes the scenario of a seed. Most have little that is out of the
// ordinary, so that what they find can be told apart.
func Generate(seed uint64) *Scenario {
	d := dice{rand.New(rand.NewPCG(seed, 777))}
	sc := &Scenario{
		Seed: seed, Segment: pick(d, time.Second, 2*time.Second, 4*time.Second),
		Chunk: pick(d, 250*time.Millisecond, 500*time.Millisecond), Reconnect: pick(d, 3*time.Second, 10*time.Second),
	}
	if d.chance(0.25) {
		sc.MaxRecording = d.between(5*time.Second, 20*time.Second)
	}
	at := d.between(0, time.Second)
	for n := 1 + pick(d, 0, 0, 0, 1, 1, 2); len(sc.Lives) < n; {
		var last *Life
		if len(sc.Lives) > 0 {
			last = &sc.Lives[len(sc.Lives)-1]
		}
		l := d.life(last)
		l.At = at
		sc.Lives = append(sc.Lives, l)
		at += l.For + pick(d, d.between(100*time.Millisecond, 3*time.Second), d.between(0, 15*time.Second))
		if l.Vanish {
			at += vanishAfter
		}
	}
	sc.End = at
	d.faults(sc)
	if d.chance(0.3) {
		sc.Manual = sc.Lives[0].At + d.between(50*time.Millisecond, 5*time.Second)
		sc.End = d.between(sc.Manual+2*time.Second, max(at, sc.Manual+3*time.Second))
	}
	return sc
}

// life makes a publisher, who often is the one before again.
func (d dice) life(last *Life) Life {
	l := Life{For: d.between(4*time.Second, 40*time.Second), Obeys: d.chance(0.6), Vanish: d.chance(0.1)}
	l.Clock = Clock{Reports: pick(d, "exact", "exact", "exact", "exact", "sent", "jitter", "whole", ""), Delay: 12 * time.Millisecond}
	switch {
	case last != nil && d.chance(0.6):
		l.Video, l.Audio, l.EqualTS = last.Video, last.Audio, last.EqualTS
	default:
		l.Video, l.EqualTS = []string{pick(d, videos...)}, d.chance(0.5)
		if d.chance(0.15) {
			l.Video = pick(d, ladders...)
		}
		l.Audio = pick(d, audios...)
		if d.chance(0.1) {
			l.Video = nil
		} else if d.chance(0.1) {
			l.Audio = ""
		}
	}
	if slices.Contains(l.Video, sourceOnce) {
		l.Obeys = false // it has no other key frame
	}
	if l.Clock.Reports == "sent" {
		l.Clock.Delay = 75 * time.Millisecond
	}
	if d.chance(0.15) {
		l.Clock.PPM = 200 * (2*d.Float64() - 1)
	}
	l.Net = d.net(l.For)
	d.trouble(&l)
	return l
}

func (d dice) net(whole time.Duration) (n Net) {
	if d.chance(0.2) {
		n.Loss, n.Burst, n.Again = pick(d, 0.001, 0.005, 0.02), pick(d, 1, 1, 3, 20), pick(d, 0, 0.5, 0.9, 1)
	}
	if d.chance(0.15) {
		n.Reorder = pick(d, 0.01, 0.1)
	}
	if d.chance(0.1) {
		n.Duplicate = 0.05
	}
	if d.chance(0.2) {
		n.Jitter = pick(d, 20*time.Millisecond, 100*time.Millisecond, 400*time.Millisecond)
	}
	if d.chance(0.08) {
		n.Outages = []Span{{d.between(time.Second, whole), d.between(500*time.Millisecond, 12*time.Second)}}
	}
	return n
}

// trouble makes what happens to the tracks of a life.
func (d dice) trouble(l *Life) {
	tracks := len(l.Video)
	if l.Audio != "" {
		tracks++
	}
	if d.chance(0.12) { // a track comes late
		l.Off = append(l.Off, Off{Track: d.IntN(tracks), For: d.between(200*time.Millisecond, 15*time.Second), Key: true})
	}
	if d.chance(0.15) {
		l.Off = append(l.Off, Off{
			Track: d.IntN(tracks), At: d.between(time.Second, l.For), For: d.between(300*time.Millisecond, 16*time.Second), Key: d.chance(0.7),
		})
	}
	if d.chance(0.05) {
		l.Turns = append(l.Turns, Turn{At: d.between(2*time.Second, l.For), SSRC: true})
	}
	if d.chance(0.05) {
		l.Turns = append(l.Turns, Turn{At: d.between(2*time.Second, l.For), Seq: uint16(4000 + d.IntN(50000))})
	}
	if d.chance(0.05) {
		l.Turns = append(l.Turns, Turn{At: d.between(2*time.Second, l.For), Stamp: pick(d, time.Hour, -time.Hour, 20*time.Second, -7*time.Second)})
	}
}

// faults makes what happens to the node.
func (d dice) faults(sc *Scenario) {
	for _, f := range []struct {
		kind     string
		p        float64
		min, max time.Duration
	}{
		{"crash", 0.12, 200 * time.Millisecond, 12 * time.Second},
		{"standstill", 0.08, 500 * time.Millisecond, 25 * time.Second},
		{"storage fails", 0.05, 500 * time.Millisecond, 20 * time.Second},
		{"storage is slow", 0.05, time.Second, 15 * time.Second},
	} {
		if d.chance(f.p) {
			sc.Faults = append(sc.Faults, Fault{Kind: f.kind, At: d.between(time.Second, sc.End), For: d.between(f.min, f.max)})
		}
	}
}

// command is how a run is repeated.
func command(seed uint64) string { return fmt.Sprintf("make chaos SEED=%d", seed) }
