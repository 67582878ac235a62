package recorder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// holes returns how long the gaps of a track are together, by cause.
func holes(tr media.RecordingTrack) map[string]float64 {
	sum := map[string]float64{}
	for _, gap := range tr.Gaps {
		sum[gap.Cause] += gap.Duration
	}
	return sum
}

// sendSteps sends d of media; the recorder keeps up.
func (s *sender) sendSteps(d time.Duration) {
	s.g.t.Helper()
	for ; d > 0; d -= time.Second {
		s.send(time.Second)
		s.g.caughtUp("camera")
	}
}

// An outage of more packets than can be waited for, which ends with a key
// frame: all that is missing is counted and named, and the audio has nothing
// to do with it.
func TestLongOutage(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	lost := int64(0)
	s.drop = func(k media.Kind, unit, _ int) bool {
		if k != media.Video || unit < 300 || unit >= 3300 { // a GOP is 30
			return false
		}
		lost++
		return true
	}
	s.sendSteps(120 * time.Second)
	rec := g.stop("camera")
	g.read(rec.RecordDir)
	video, audio := rec.Tracks[0], rec.Tracks[1]
	if video.Kind != "video" {
		video, audio = audio, video
	}
	if rec.Status != media.StatusDegraded || video.PacketsLost != lost || holes(video)[arrange.CauseLoss] < 99 {
		t.Errorf("%d packets were lost: %s, %+v", lost, rec.Status, video)
	}
	if sent := int64(len(s.log.Audio.Units)); audio.Frames != sent || len(audio.Gaps) > 0 {
		t.Errorf("%d audio packets were sent: %+v", sent, audio)
	}
}

// Another SSRC of one track: it goes on where its clock would have been, with
// what is missing in the ledger, and the other track does not notice.
func TestNewSSRC(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(4500 * time.Millisecond) // 15 frames behind a key frame
	s.tracks[0].ssrc, s.tracks[0].seq, s.tracks[0].ts = 77, 4711, s.tracks[0].ts-1<<30
	s.send(6 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	s.log.Video = nil
	report := g.compare(s.log, got.WithLayer("none"), compare.Options{})
	if tr := report.Tracks[0]; tr.Matched != tr.Sent || rec.Periods != 1 {
		t.Errorf("%d of %d audio packets in %d periods", tr.Matched, tr.Sent, rec.Periods)
	}
	video := rec.Tracks[0]
	if d := holes(video)[arrange.CauseLoss]; rec.Status != media.StatusDegraded || d < 0.45 || d > 0.55 {
		t.Errorf("half a second of video is missing: %s, %+v", rec.Status, video)
	}
}

// Audio that waits for the video when packets after it are lost: the loss stays
// where it was.
func TestLossBehindHeldAudio(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[0].delay = 1900 * time.Millisecond // more than the reordering takes
	s.drop = func(k media.Kind, unit, _ int) bool { return k == media.Audio && unit >= 200 && unit < 205 }
	g.start("camera", "")
	s.sendSteps(10 * time.Second)
	rec := g.stop("camera")
	if len(rec.Tracks[1].Gaps) != 1 || rec.Tracks[1].Gaps[0] != (media.Gap{Start: 4, Duration: 0.1, Cause: arrange.CauseLoss, Filled: true}) {
		t.Errorf("gaps %+v, want the lost tenth of a second at 4 s", rec.Tracks[1].Gaps)
	}
}

// Packets that the queue dropped because storage was too slow are counted, in
// the middle of a recording and at its end.
func TestOverrun(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	st, err := g.streams.Get("camera")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := st.Subscribe(live.SubscribeOptions{MaxItems: 500})
	if err != nil {
		t.Fatal(err)
	}
	ss := newSession(g.recorder, st, sub, "")
	if err := ss.begin(t.Context(), ss.now); err != nil {
		t.Fatal(err)
	}
	items := make([]live.Item, 1000)
	read := func() {
		t.Helper()
		n, err := sub.Read(t.Context(), items)
		if err != nil {
			t.Fatal(err)
		}
		for i := range items[:n] {
			if err := ss.handle(&items[i]); err != nil {
				t.Fatal(err)
			}
		}
		ss.tick()
	}
	dropped := int64(0)
	for range 2 {
		before := g.sent
		s.reports = false
		s.send(20 * time.Second)
		dropped += g.sent - before - 500
		read()
		s.reports = true
		s.send(3 * time.Second)
		read()
	}
	before := g.sent
	s.reports = false
	s.send(20 * time.Second)
	dropped += g.sent - before - 500
	sub.Close() // with no item behind the last that was dropped
	read()
	read()
	if err := ss.leave(); err != nil {
		t.Fatal(err)
	}
	ss.seal(nil)
	rec := ss.info()
	g.read(rec.RecordDir)
	if rec.Status != media.StatusDegraded || rec.PacketsOverrun != dropped || holes(rec.Tracks[0])[arrange.CauseOverrun] < 5 {
		t.Errorf("%d packets were dropped: %+v", dropped, rec)
	}
	if n, err := sub.Read(t.Context(), items); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %d items, %v", n, err)
	}
}

// A publisher that comes back with a track that cannot be recorded: the
// recording goes on without it, and says so.
func TestReturnsUnrecordable(t *testing.T) {
	for _, codec := range []bool{false, true} {
		g := newRig(t, nil)
		a := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		g.start("camera", "")
		a.send(5 * time.Second)
		a.leave()
		audio := source(t, "opus_stereo.ogg")
		if codec {
			audio = unrecordable(t)
		}
		b := g.publish("camera", source(t, "h264_baseline.h264"), audio)
		if !codec { // as before, but no key frame comes
			b.drop = func(k media.Kind, unit, _ int) bool { return k == media.Video && unit%30 == 0 }
		}
		b.send(20 * time.Second)
		rec := g.stop("camera")
		i := map[bool]int{false: 0, true: 1}[codec]
		if why := rec.Tracks[i].Missing; rec.Status != media.StatusDegraded || why == "" || !codec && why != reasonUndecodable {
			t.Errorf("codec %v: %s (%s), %+v", codec, rec.Status, rec.Reason, rec.Tracks[i])
		}
	}
}

// A publisher that comes back with sound, for which another recording begins, has no part
// in the one before.
func TestReturnsWithAnotherKind(t *testing.T) {
	g := newRig(t, nil)
	a := g.publish("camera", source(t, "h264_baseline.h264"))
	first := g.start("camera", "").RecordDir
	a.send(5 * time.Second)
	a.leave()
	g.caughtUp("camera")
	b := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	b.send(5 * time.Second)
	g.stop("camera")
	rec := g.info(first)
	if rec.Status != media.StatusComplete || len(rec.Tracks) != 1 {
		t.Errorf("%s (%s) with %d tracks: %+v", rec.Status, rec.Reason, len(rec.Tracks), rec.Tracks)
	}
}

// Audio alone whose clock stands still for 2 s goes on behind silence, in its Period.
func TestAudioAloneDrift(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(10 * time.Second)
	s.tracks[0].next += 2 * time.Second
	s.steps(2 * time.Second)
	s.send(60 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	last := got.Tracks[0].Samples[len(got.Tracks[0].Samples)-1]
	if end := (last.Time + last.Duration).Duration(48000); end < 71900*time.Millisecond || rec.Periods != 1 {
		t.Errorf("72 s of wall clock are %v of media in %d periods", end, rec.Periods)
	}
	if d := holes(rec.Tracks[0])[arrange.CausePause]; d < 1.9 || d > 2.1 || rec.Tracks[0].Frames != int64(len(s.log.Audio.Units)) {
		t.Errorf("%d packets were sent: %+v", len(s.log.Audio.Units), rec.Tracks[0])
	}
}

// Audio packets that are left out because the audio is ahead of the video are
// counted, and never two in a row.
func TestCorrectionIsCounted(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(5 * time.Second)
	s.tracks[1].next -= 90 * time.Millisecond
	s.send(20 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	report := compare.Recording(s.log, got, compare.Options{AllowFillers: true})
	for _, tr := range got.Tracks {
		next, out := 0, -2
		for i, u := range s.log.Audio.Units {
			switch {
			case tr.Kind != media.Audio:
			case next < len(tr.Samples) && sha256.Sum256(tr.Samples[next].Data) == u.SHA256:
				next++
			case out == i-1:
				t.Errorf("audio packets %d and %d are left out", out, i)
			default:
				out = i
			}
		}
	}
	audio, sent := rec.Tracks[1], int64(len(s.log.Audio.Units))
	if audio.PacketsCorrected != 4 || audio.Frames+audio.PacketsCorrected != sent || rec.Status != media.StatusComplete {
		t.Errorf("%s (%s): %d packets were sent, want four of them left out: %+v", rec.Status, rec.Reason, sent, audio)
	}
	if report.AV.Last.Abs() > 20*time.Millisecond {
		t.Errorf("A/V error of %v at the end", report.AV.Last)
	}
}

// Pictures that came before the first key frame of a sender that ignores requests are
// counted, and the verdict says it in words. What came before the recording's first
// frame is not missing in it.
func TestBeforeFirstKey(t *testing.T) {
	for _, sound := range []bool{true, false} {
		g := newRig(t, nil)
		src := *source(t, "h264_baseline.h264")
		for i := range src.Units {
			if src.Units[i].Key && i > 0 {
				src.Units = slices.Concat(src.Units[1:i], src.Units[1:i], src.Units[1:i], src.Units[:1], src.Units[i:])
				break
			}
		}
		late := slices.IndexFunc(src.Units, func(u load.AccessUnit) bool { return u.Key })
		sources := []*load.Source{&src}
		if sound {
			sources = append(sources, source(t, "opus_stereo.ogg"))
		}
		s := g.publish("camera", sources...)
		g.start("camera", "")
		s.steps(16 * time.Second)
		rec := g.stop("camera")
		got := g.readFiles(rec.RecordDir)
		whole(t, rec, got)
		video := rec.Tracks[0]
		if !sound {
			if rec.Status != media.StatusComplete || video.FramesDropped != 0 || video.KeyFrameWait != 0 {
				t.Errorf("%s (%s): %+v", rec.Status, rec.Reason, video)
			}
			continue
		}
		if n := video.FramesBeforeKey; n < int64(late)-3 || n > int64(late) || video.FramesDropped != n || video.Frames+n > int64(len(s.tracks[0].log.Units)) {
			t.Errorf("%d frames before the first key frame, of %d; %d left out, %d recorded", n, late, video.FramesDropped, video.Frames)
		}
		wait := src.Units[0].Duration.Duration(src.ClockRate).Seconds() * float64(late)
		if video.KeyFrameWait < wait-0.1 || video.KeyFrameWait > wait+0.1 {
			t.Errorf("waited for %v s, want %v", video.KeyFrameWait, wait)
		}
		want := fmt.Sprintf("video: the sender ignored requests for a key frame for %.1f s: %d frames before the first one could not be recorded", video.KeyFrameWait, video.FramesBeforeKey)
		if rec.Status != media.StatusDegraded || rec.Reason != want {
			t.Errorf("%s: %q", rec.Status, rec.Reason)
		}
	}
}

// What a publisher leaves behind is taken in with the sound first: it waits for the
// picture of its time, and what came before a boundary that the picture makes finds its
// place only if it is known by then.
func TestSoundIsTakenInFirst(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	tracks := []media.Track{s.tracks[0].Track, s.tracks[1].Track}
	pub := (&session{log: slog.New(slog.DiscardHandler)}).newPublication(tracks)
	if len(pub.ordered) != 2 || pub.ordered[0].Kind != media.Audio || pub.recorded[0].Kind != media.Video {
		t.Errorf("taken in as %v, offered as %v", pub.ordered, pub.recorded)
	}
}

// A sender that never sends a key frame, whatever it is asked: the sound is recorded beside
// a neutral picture, what came is counted while it runs, and log and verdict say once, in
// words, whose fault it is.
func TestNoKeyFrameAtAll(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		t.Run(video, func(t *testing.T) {
			var log logtest.Buffer
			g := newRig(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			src := *source(t, video)
			src.Units = slices.DeleteFunc(slices.Clone(src.Units), func(u load.AccessUnit) bool { return u.Key })
			s := g.publish("camera", &src, source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.steps(15 * time.Second)
			if tr := g.recorder.Status("camera").Info.Tracks[0]; tr.FramesBeforeKey < 300 || tr.KeyFrameWait < 8 {
				t.Errorf("while it runs: %+v", tr)
			}
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			sent := int64(len(s.log.Video.Units))
			if tr := rec.Tracks[0]; rec.Status != media.StatusDegraded || rec.Reason != "video: "+reasonNoKey || tr.Frames != 0 || tr.FramesBeforeKey < sent-1 || tr.FramesBeforeKey > sent {
				t.Errorf("%s (%s), %d were sent: %+v", rec.Status, rec.Reason, sent, tr)
			}
			if n := strings.Count(log.String(), "ignores requests for its first key frame"); n != 1 {
				t.Errorf("%d lines in the log:\n%s", n, log.String())
			}
			s.log.Video = nil
			g.compareAll(s.log, got.WithLayer("none"))
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.asks[0] < 5 {
				t.Errorf("%d requests for key frames", s.asks[0])
			}
		})
	}
}
