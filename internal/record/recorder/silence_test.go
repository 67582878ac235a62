package recorder

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// whole checks that each Period of a recording has all kinds of media that the
// recording has, from its beginning to its end, to within a frame and a packet, and
// that the ledger's sums are exact.
func whole(t *testing.T, rec media.Recording, got *verify.Recording) {
	t.Helper()
	const slack = 100 * time.Millisecond
	for i, p := range got.Periods {
		var starts, ends []time.Duration
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			if _, ok := got.Track(kind); !ok {
				continue
			}
			tr, ok := got.InPeriods(i, i).Track(kind)
			if !ok || len(tr.Samples) == 0 {
				t.Errorf("period %d has no %s", i, kind)
				continue
			}
			first, last := tr.Samples[0], tr.Samples[len(tr.Samples)-1]
			starts = append(starts, first.Time.Duration(tr.Timescale))
			ends = append(ends, (last.Time + last.Duration).Duration(tr.Timescale))
		}
		for j := range starts {
			if d := starts[j] - p.Start; d.Abs() > slack {
				t.Errorf("period %d: track %d begins %v after it", i, j, d)
			}
			if d := ends[j] - ends[0]; d.Abs() > slack {
				t.Errorf("period %d: track %d ends %v after the first", i, j, d)
			}
		}
	}
	for _, tr := range rec.Tracks {
		if sum := tr.MediaSeconds + tr.FilledSeconds + tr.GapSeconds; sum-rec.Duration > 0.002 || rec.Duration-sum > 0.002 {
			t.Errorf("%s: media %v + filled %v + gap %v is not the duration of %v", tr.Kind, tr.MediaSeconds, tr.FilledSeconds, tr.GapSeconds, rec.Duration)
		}
	}
}

// lasts fails where a track of a recording does not go on to about its end.
func lasts(t *testing.T, got *verify.Recording, end time.Duration) {
	t.Helper()
	for _, tr := range got.Tracks {
		last := tr.Samples[len(tr.Samples)-1]
		if at := (last.Time + last.Duration).Duration(tr.Timescale); (at - end).Abs() > 200*time.Millisecond {
			t.Errorf("%s ends at %v, want %v", tr.ID, at, end)
		}
	}
}

// compareAll is compare, and wants everything that was sent.
func (g *rig) compareAll(log *load.Log, rec *verify.Recording) {
	g.t.Helper()
	for _, tr := range g.compare(log, rec, compare.Options{}).Tracks {
		if tr.Matched != tr.Sent {
			g.t.Errorf("%s: %d of %d units", tr.Kind, tr.Matched, tr.Sent)
		}
	}
}

// videos are media of every codec of video.
var videos = []string{"h264_baseline.h264", "h264_high.h264", "h265.h265", "vp9.ivf", "av1.ivf", "vp8.ivf"}

// skipToKey makes the next unit of a track one with a key frame.
func (s *sender) skipToKey(i int) {
	tr := s.tracks[i]
	for !tr.src.Units[tr.unit%len(tr.src.Units)].Key {
		tr.unit++
	}
}

// steps is send, with the recorder keeping up, and looking at its clock though nothing
// may come: a report of no track has it do so.
func (s *sender) steps(d time.Duration) {
	s.g.t.Helper()
	for ; d > 0; d -= 250 * time.Millisecond {
		s.send(min(d, 250*time.Millisecond))
		s.g.items[s.stream]++
		s.pub.WriteReport(&media.SenderReport{Track: -1, Arrival: s.g.clock.Now()})
		s.g.caughtUp(s.stream)
	}
}

// A sender that never sends another key frame, whatever it is asked: segments are
// closed all the same.
func TestNoOtherKeyFrame(t *testing.T) {
	g := newRig(t, nil)
	src := *source(t, "h264_baseline.h264")
	key := src.Units[0]
	rest := src.Units[1:30]
	src.Units = []load.AccessUnit{key}
	for range 40 {
		src.Units = append(src.Units, rest...)
	}
	s := g.publish("camera", &src, source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(38 * time.Second)
	if info := g.recorder.Status("camera").Info; info.Duration < 30 || info.DurableThrough < 30 {
		t.Errorf("after 38 s %v s are listed, %v s are safe", info.Duration, info.DurableThrough)
	}
	rec := g.stop("camera")
	got, err := verify.ReadRecording(t.Context(), g.store, rec.RecordDir)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, rec, got)
	video, _ := got.Track(media.Video)
	if len(video.Samples) != len(s.log.Video.Units) || rec.Periods != 1 {
		t.Errorf("%d of %d frames in %d periods", len(video.Samples), len(s.log.Video.Units), rec.Periods)
	}
}

// Rotation does not wait for video that is off.
func TestRotationWithoutVideo(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 20 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(5 * time.Second)
	s.tracks[0].off = true
	s.steps(60 * time.Second)
	g.stop("camera")
	g.listed()
	packets := 0
	for dir, rec := range g.catalogue.last {
		got := g.read(dir)
		whole(t, rec, got)
		audio, _ := got.Track(media.Audio)
		packets += len(audio.Samples)
		if rec.Duration > 23 {
			t.Errorf("%s lasts %v s", dir, rec.Duration)
		}
	}
	if n := len(g.catalogue.last); n < 3 || n > 4 || packets < len(s.log.Audio.Units) || packets > len(s.log.Audio.Units)+2 {
		t.Errorf("%d recordings of 65 s with %d of %d packets, want 4", n, packets, len(s.log.Audio.Units))
	}
}

// Both pause for long, and the sound alone comes back.
func TestSoundAloneComesBack(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(5 * time.Second)
	s.tracks[0].off = true
	s.pause(15 * time.Second)
	s.steps(10 * time.Second)
	s.tracks[0].off = false
	s.skipToKey(0)
	s.steps(5 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	whole(t, rec, got)
	lasts(t, got, 35*time.Second)
	report := g.compare(s.log, got, compare.Options{})
	if tr := report.Tracks[1]; tr.Matched != tr.Sent || holes(rec.Tracks[1])[arrange.CausePause] < 14 {
		t.Errorf("%d of %d packets: %+v", tr.Matched, tr.Sent, rec.Tracks[1])
	}
}

// Five minutes in which the node slept are a hole between two Periods, even if the
// video goes on in the middle of a GOP.
func TestSleepIsNotFilled(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3500 * time.Millisecond)
	g.caughtUp("camera")
	s.pause(5 * time.Minute)
	s.steps(5 * time.Second)
	rec := g.stop("camera")
	got := g.readFiles(rec.RecordDir) // some pictures are repeated, for less than a pause that is told of
	whole(t, rec, got)
	report := compare.Recording(s.log, got, compare.Options{AllowFillers: true})
	audio := report.Tracks[1]
	if audio.Matched != audio.Sent || audio.Fillers+audio.Filled > 10 || report.AV.Last.Abs() > 20*time.Millisecond {
		t.Errorf("%d of %d packets with %d fillers, A/V error of %v", audio.Matched, audio.Sent, audio.Fillers+audio.Filled, report.AV.Last)
	}
	if d := rec.Tracks[1].GapSeconds; d < 299.9 || d > 300.2 {
		t.Errorf("a hole of %v s", d)
	}
}

// Sound whose place is not known yet is waited for: nothing is filled before time has
// passed, and the segments of the sound are all named.
func TestNothingIsFilledAtTheBeginning(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	s.reports = false
	s.tracks[1].next += 9 * time.Millisecond // less than a packet after the picture
	g.start("camera", "")
	s.step(8 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	report := g.compare(s.log, got, compare.Options{MaxAV: -1})
	if audio, _ := report.Track(media.Audio); audio == nil || audio.Matched != audio.Sent || audio.Fillers+audio.Filled > 0 {
		t.Errorf("%+v", audio)
	}
}
