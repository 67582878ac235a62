package chaos

import (
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// camera is a publisher of which nothing is lost. Its camera is off from 6 s to 9 s, and it
// comes back once.
func camera(video ...string) *Scenario {
	l := Life{
		At: 500 * time.Millisecond, For: 14 * time.Second, Video: video, Audio: "opus_mono.ogg", EqualTS: true, Obeys: true,
		Clock: Clock{Reports: "exact", Delay: 12 * time.Millisecond},
	}
	second := l
	second.At, second.For = 16*time.Second, 8*time.Second
	if len(video) == 1 {
		l.Off = []Off{{At: 6 * time.Second, For: 3 * time.Second, Key: true}}
	}
	return &Scenario{
		Seed: 1, Segment: 2 * time.Second, Chunk: 500 * time.Millisecond, Reconnect: 10 * time.Second, Lives: []Life{l, second}, End: 25 * time.Second,
	}
}

// damaged is a recording that somebody damages.
type damaged struct{ *recorded }

// track returns the samples of a lane, and what the ledger says of it.
func (d damaged) track(kind media.Kind, layer int) (*verify.Track, *media.RecordingTrack) {
	l := lane{kind, layer}
	tr, _ := d.Layer(l.id())
	return tr, d.ledger(l)
}

func (d damaged) video() *verify.Track {
	tr, _ := d.track(media.Video, 0)
	return tr
}

func (d damaged) audio() *verify.Track {
	tr, _ := d.track(media.Audio, 0)
	return tr
}

func (d damaged) gaps(kind media.Kind) *[]media.Gap {
	_, l := d.track(kind, 0)
	return &l.Gaps
}

// sample returns the index of the first sample at a time or later.
func sample(tr *verify.Track, at time.Duration) int {
	i := slices.IndexFunc(tr.Samples, func(s verify.Sample) bool { return s.Time.Duration(tr.Timescale) >= at })
	if i < 0 {
		return len(tr.Samples)
	}
	return i
}

// shift moves what is from a time on.
func shift(tr *verify.Track, from, by time.Duration) {
	for i := sample(tr, from); i < len(tr.Samples); i++ {
		tr.Samples[i].Time += media.TicksOf(by, tr.Timescale)
	}
}

// cut takes a time out.
func cut(tr *verify.Track, from, to time.Duration) {
	tr.Samples = slices.Delete(tr.Samples, sample(tr, from), sample(tr, to))
}

// clone returns a copy of a recording that can be changed.
func (r *recorded) clone() *recorded {
	rec, info := *r.Recording, *r.Info
	info.Tracks = slices.Clone(info.Tracks)
	for i := range info.Tracks {
		info.Tracks[i].Gaps = slices.Clone(info.Tracks[i].Gaps)
	}
	rec.Info, rec.Periods, rec.Tracks = &info, slices.Clone(rec.Periods), slices.Clone(rec.Tracks)
	for i, tr := range rec.Tracks {
		other := *tr
		other.Samples = slices.Clone(tr.Samples)
		rec.Tracks[i] = &other
	}
	return &recorded{Recording: &rec, at: r.at, until: r.until, begun: r.begun}
}

// mutations are ways to damage a recording of the camera or its ledger, each with the class
// of what the judge has to find.
var mutations = map[string]struct {
	want   string
	damage func(d damaged)
}{
	"a second of both is cut out": {"missing", func(d damaged) {
		for _, tr := range d.Tracks {
			cut(tr, 2*time.Second, 3*time.Second)
			shift(tr, 3*time.Second, -time.Second)
		}
	}},
	"the first second is lost": {"missing", func(d damaged) {
		for _, tr := range d.Tracks {
			cut(tr, 0, time.Second)
			shift(tr, 0, -time.Second)
		}
		d.at += time.Second
	}},
	"the last second is lost": {"missing", func(d damaged) {
		for _, tr := range d.Tracks {
			cut(tr, d.Duration-time.Second, d.Duration)
		}
		d.until -= time.Second
		d.Duration -= time.Second
	}},
	"the last frame is lost":    {"missing", func(d damaged) { tr := d.video(); tr.Samples = tr.Samples[:len(tr.Samples)-1] }},
	"a packet of sound is lost": {"missing", func(d damaged) { cut(d.audio(), 3*time.Second, 3020*time.Millisecond) }},
	"a key frame is lost": {"undecodable", func(d damaged) {
		tr := d.video()
		i := sample(tr, 2*time.Second)
		tr.Samples = slices.Delete(tr.Samples, i, i+1)
	}},
	"a second of silence":       {"no gap", func(d damaged) { silence(d.audio(), 3*time.Second, 4*time.Second) }},
	"silence of a packet":       {"missing", func(d damaged) { silence(d.audio(), 3*time.Second, 3020*time.Millisecond) }},
	"sound is 60 ms late":       {"sync", func(d damaged) { shift(d.audio(), 0, 60*time.Millisecond) }},
	"sound is early at the end": {"sync", func(d damaged) { shift(d.audio(), 20*time.Second, -60*time.Millisecond) }},
	"all is 300 ms late":        {"displaced", func(d damaged) { shift(d.audio(), 0, 300*time.Millisecond); shift(d.video(), 0, 300*time.Millisecond) }},
	"a Period is 200 ms late":   {"displaced", func(d damaged) { moveSecondPeriod(d, 200*time.Millisecond) }},
	"the picture stands still": {"displaced", func(d damaged) {
		shift(d.audio(), 3*time.Second, 100*time.Millisecond)
		shift(d.video(), 3*time.Second, 100*time.Millisecond)
	}},
	"two frames are swapped":     {"mistimed", func(d damaged) { tr := d.video(); swap(tr, sample(tr, 3*time.Second)) }},
	"two packets are swapped":    {"mistimed", func(d damaged) { tr := d.audio(); swap(tr, sample(tr, 3*time.Second)) }},
	"a frame is there twice":     {"mistimed", func(d damaged) { tr := d.video(); again(tr, sample(tr, 3*time.Second)) }},
	"a packet is there twice":    {"mistimed", func(d damaged) { tr := d.audio(); again(tr, sample(tr, 3*time.Second)) }},
	"a key frame is there twice": {"mistimed", func(d damaged) { tr := d.video(); again(tr, sample(tr, 2*time.Second)) }},
	"a frame of another time": {"mistimed", func(d damaged) {
		tr := d.video()
		i := sample(tr, 4*time.Second)
		tr.Samples[i].Data = tr.Samples[i-60].Data
	}},
	"a frame that nobody sent": {"extra", func(d damaged) {
		tr := d.video()
		tr.Samples[sample(tr, 3*time.Second)].Data = []byte("something else")
	}},
	"sound that nobody sent": {"extra", func(d damaged) { tr := d.audio(); tr.Samples[sample(tr, 3*time.Second)].Data = make([]byte, 2*silent) }},
	"a gap is not told":      {"no gap", func(d damaged) { untell(d, "pause") }},
	"a hole is not told":     {"no gap", func(d damaged) { untell(d, "reconnect") }},
	"a gap that is not": {"false gap", func(d damaged) {
		g := d.gaps(media.Video)
		*g = append([]media.Gap{{Start: 3, Duration: 1, Cause: "pause", Filled: true}}, *g...)
	}},
	"a gap in the other track":   {"false gap", func(d damaged) { *d.gaps(media.Audio) = slices.Clone(*d.gaps(media.Video)) }},
	"a gap is told late":         {"false gap", func(d damaged) { (*d.gaps(media.Video))[0].Start += 0.5 }},
	"a gap is too long":          {"false gap", func(d damaged) { (*d.gaps(media.Video))[0].Duration += 0.25 }},
	"a gap is too short":         {"no gap", func(d damaged) { _, l := d.track(media.Video, 0); l.Gaps[0].Duration -= 1.5; count(l, true, -1.5) }},
	"a gap is not of its cause":  {"cause", func(d damaged) { (*d.gaps(media.Video))[0].Cause = "loss" }},
	"a node that did not die":    {"cause", func(d damaged) { (*d.gaps(media.Video))[0].Cause = "node" }},
	"a hole is not of its cause": {"cause", func(d damaged) { (*d.gaps(media.Audio))[0].Cause = "limit" }},
	"a gap is not called filled": {"audit", func(d damaged) { (*d.gaps(media.Video))[0].Filled = false }},
	"less is filled than told":   {"audit", func(d damaged) { _, l := d.track(media.Video, 0); l.FilledSeconds--; l.MediaSeconds++ }},
	"more media than there is":   {"audit", func(d damaged) { _, l := d.track(media.Audio, 0); l.GapSeconds--; l.MediaSeconds++ }},
	"sums that are no sum":       {"sum", func(d damaged) { _, l := d.track(media.Audio, 0); l.MediaSeconds += 0.5 }},
	"complete without a frame": {"verdict", func(d damaged) {
		tr := d.video()
		i := sample(tr, 5*time.Second)
		tr.Samples = slices.Delete(tr.Samples, i, i+1)
	}},
	"not complete for nothing": {"alarm", func(d damaged) { d.Info.Status, d.Info.Reason = media.StatusDegraded, "so" }},
	"failed for nothing":       {"alarm", func(d damaged) { d.Info.Status, d.Info.Reason = media.StatusFailed, "so" }},
	"not sealed":               {"unsealed", func(d damaged) { d.Info.Status = media.StatusRecording }},
	"what is cut counts as right": {"missing", func(d damaged) {
		cut(d.audio(), 3*time.Second, 3200*time.Millisecond)
		_, l := d.track(media.Audio, 0)
		l.PacketsCorrected = 60
	}},
}

// silence puts silence in the place of sound.
func silence(tr *verify.Track, from, to time.Duration) {
	for i := sample(tr, from); i < sample(tr, to); i++ {
		tr.Samples[i].Data = []byte{0x78}
	}
}

func swap(tr *verify.Track, i int) {
	tr.Samples[i].Data, tr.Samples[i+1].Data = tr.Samples[i+1].Data, tr.Samples[i].Data
}

func again(tr *verify.Track, i int) {
	s := tr.Samples[i]
	s.Duration /= 2
	tr.Samples[i].Duration -= s.Duration
	s.Time += tr.Samples[i].Duration
	tr.Samples = slices.Insert(tr.Samples, i+1, s)
}

// untell takes the gaps of a cause out of the ledger, and counts their time as media.
func untell(d damaged, cause string) {
	for i := range d.Info.Tracks {
		l := &d.Info.Tracks[i]
		l.Gaps = slices.DeleteFunc(l.Gaps, func(g media.Gap) bool {
			if g.Cause == cause {
				count(l, g.Filled, -g.Duration)
			}
			return g.Cause == cause
		})
	}
}

// count counts more time as filled, or as a hole, and less as media.
func count(l *media.RecordingTrack, filled bool, more float64) {
	if filled {
		l.FilledSeconds += more
	} else {
		l.GapSeconds += more
	}
	l.MediaSeconds -= more
}

// moveSecondPeriod moves the second Period, and the gap before it gets longer.
func moveSecondPeriod(d damaged, by time.Duration) {
	from := d.Periods[1].Start
	for i := range d.Info.Tracks {
		g := d.Info.Tracks[i].Gaps
		g[len(g)-1].Duration += by.Seconds()
		d.Info.Tracks[i].GapSeconds += by.Seconds()
	}
	for _, tr := range d.Tracks {
		shift(tr, from-edge, by)
	}
	d.Periods[1].Start += by
	d.Duration, d.until, d.Info.Duration = d.Duration+by, d.until+by, d.Info.Duration+by.Seconds()
}

// layerMutations damage a recording of two layers.
var layerMutations = map[string]struct {
	want   string
	damage func(d damaged)
}{
	"a layer is 100 ms late":  {"sync", func(d damaged) { tr, _ := d.track(media.Video, 1); shift(tr, 0, 100*time.Millisecond) }},
	"a layer lacks a second":  {"missing", func(d damaged) { tr, _ := d.track(media.Video, 1); cut(tr, 2*time.Second, 3*time.Second) }},
	"the lead lacks a second": {"missing", func(d damaged) { cut(d.video(), 2*time.Second, 3*time.Second) }},
	"layers are swapped": {"extra", func(d damaged) {
		tr, _ := d.track(media.Video, 1)
		tr.Samples, d.video().Samples = d.video().Samples, tr.Samples
	}},
}

// TestJudge damages recordings that are right, and asks whether the judge finds it.
func TestJudge(t *testing.T) {
	t.Run("camera", func(t *testing.T) {
		j := judged(t, camera("h264_baseline.h264"))
		for name, m := range mutations {
			j.mutate(t, name, m.want, m.damage)
		}
	})
	t.Run("layers", func(t *testing.T) {
		j := judged(t, camera("h264_baseline.h264", "h264_small.h264"))
		for name, m := range layerMutations {
			j.mutate(t, name, m.want, m.damage)
		}
	})
}

// judged runs a scenario of which nothing is to be found.
func judged(t *testing.T, sc *Scenario) *judge {
	j, _ := attempt(t, sc)
	if len(j.faults) > 0 || len(j.recordings) != 1 {
		t.Fatalf("%d recordings, found %v\n%s", len(j.recordings), j.faults, j.describe())
	}
	return j
}

// mutate judges a copy of a recording that was damaged.
func (j *judge) mutate(t *testing.T, name, want string, damage func(damaged)) {
	t.Run(name, func(t *testing.T) {
		of := *j.truth
		other := *j
		d := damaged{j.recordings[0].clone()}
		damage(d)
		other.truth, other.recordings = &of, []*recorded{d.recorded}
		other.hold()
		if !slices.ContainsFunc(other.faults, func(f finding) bool { return f.class == want }) {
			t.Errorf("the judge finds %v, want %q", other.faults, want)
		}
	})
}
