package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// Every access unit that was sent is in the recording, to the byte and the
// tick, for each codec and for streams of one track.
func TestRecordsWhatWasSent(t *testing.T) {
	for _, sources := range [][]string{
		{"h264_baseline.h264", "opus_stereo.ogg"},
		{"h264_slices.h264", "opus_mono.ogg"},
		{"vp9.ivf", "opus_stereo.ogg"},
		{"av1.ivf", "opus_stereo.ogg"},
		{"h265.h265", "opus_stereo.ogg"},
		{"h265_slices.h265", "opus_mono.ogg"},
		{"vp8.ivf", "opus_stereo.ogg"},
		{"vp8.ivf"},
		{"h264_high.h264"},
		{"opus_stereo.ogg"},
		{"vp9.ivf", "opus_51.ogg"},
		{"opus_51.ogg"},
	} {
		t.Run(strings.Join(sources, "+"), func(t *testing.T) {
			g := newRig(t, nil)
			var files []*load.Source
			for _, name := range sources {
				files = append(files, source(t, name))
			}
			s := g.publish("camera", files...)
			g.start("camera", "")
			s.send(25 * time.Second)
			rec := g.stop("camera")
			report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
			for _, tr := range report.Tracks {
				if tr.First > 50 {
					t.Errorf("%s begins with unit %d", tr.Kind, tr.First)
				}
			}
			if rec.Status != media.StatusComplete || rec.Reason != "" || rec.End == nil || len(rec.Tracks) != len(sources) {
				t.Errorf("recording ended as %+v", rec)
			}
			for _, tr := range rec.Tracks {
				if !tr.Synced || tr.Offset > 0.001 || tr.Offset < -0.001 {
					t.Errorf("%s: synced %v, offset %v s", tr.Kind, tr.Synced, tr.Offset)
				}
			}
			if got := g.info(rec.RecordDir); fmt.Sprint(got.Tracks) != fmt.Sprint(rec.Tracks) || got.Status != rec.Status {
				t.Errorf("recording.json has\n%+v, the recorder\n%+v", got, rec)
			}
			if got := g.catalogue.get(rec.RecordDir); got.Status != rec.Status || got.Bytes != rec.Bytes {
				t.Errorf("catalogue has %+v", got)
			}
		})
	}
}

func TestRecordIDAndDirs(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("1234567890", source(t, "opus_mono.ogg")) // a stream that looks like a timestamp
	unix := g.clock.Now().Unix()
	for _, tc := range []struct {
		base, id, dir string
		kind          fault.Kind
	}{
		{base: "", id: fmt.Sprint(unix), dir: fmt.Sprintf("1234567890/%d", unix)},
		{base: "", id: fmt.Sprint(unix + 1), dir: fmt.Sprintf("1234567890/%d", unix+1)}, // the second is taken
		{base: "/archive/2026/", id: "", dir: "archive/2026"},
		{base: "archive/2026", kind: fault.Conflict},
		{base: "archive/1718200000", id: "1718200000", dir: "archive/1718200000"},
		{base: "archive/171820000", id: "", dir: "archive/171820000"},
		{base: "archive/2026/within", kind: fault.Conflict},
		{base: "archive/1718200000/a/b", kind: fault.Conflict},
		{base: "archive", kind: fault.Conflict}, // others are within it
		{base: "1234567890", kind: fault.Conflict},
		{base: fmt.Sprintf("1234567890/%d/v_seg_0001.m4s", unix), kind: fault.Invalid},
		{base: "archive/manifest.mpd", kind: fault.Invalid},
		{base: "archive/recording.json/x", kind: fault.Invalid},
		{base: "archive/a_init.m4s", kind: fault.Invalid},
		{base: "archive/20260", id: "", dir: "archive/20260"}, // beside one that begins alike
		{base: "a\u202eb", kind: fault.Invalid},
		{base: "a/../b", kind: fault.Invalid},
		{base: "a//b", kind: fault.Invalid},
		{base: `a\b`, kind: fault.Invalid},
		{base: "a/\x00b", kind: fault.Invalid},
		{base: "//", kind: fault.Invalid},
	} {
		rec, err := g.recorder.Start(context.Background(), "1234567890", tc.base)
		if tc.kind != fault.Internal {
			if fault.KindOf(err) != tc.kind {
				t.Errorf("base_dir %q: error %v, want kind %d", tc.base, err, tc.kind)
			}
			continue
		}
		if err != nil || rec.RecordID != tc.id || rec.RecordDir != tc.dir || rec.MPDPath != tc.dir+"/manifest.mpd" {
			t.Errorf("base_dir %q: got %q in %q (%q), error %v", tc.base, rec.RecordID, rec.RecordDir, rec.MPDPath, err)
		}
		s.send(time.Second / 2)
		g.stop("1234567890")
		g.clock.mu.Lock()
		g.clock.now = time.Unix(unix, 0) // the same second again
		g.clock.mu.Unlock()
	}
}

func TestStartTwice(t *testing.T) {
	g := newRig(t, nil)
	if _, err := g.recorder.Start(context.Background(), "nobody", ""); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown stream: %v", err)
	}
	if _, err := g.streams.Create("idle"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.recorder.Start(context.Background(), "idle", ""); !errors.Is(err, ErrNoPublisher) {
		t.Errorf("stream without publisher: %v", err)
	}
	g.publish("camera", source(t, "opus_mono.ogg"))
	first := g.start("camera", "")
	if again := g.start("camera", ""); again.RecordDir != first.RecordDir {
		t.Errorf("second start gave %q, want the running %q", again.RecordDir, first.RecordDir)
	}
	if again := g.start("camera", first.RecordDir); again.RecordDir != first.RecordDir {
		t.Errorf("start with its own directory gave %q", again.RecordDir)
	}
	if _, err := g.recorder.Start(context.Background(), "camera", "elsewhere"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("start elsewhere: %v", err)
	}
	if st := g.recorder.Status("camera"); !st.Recording || st.Info.RecordDir != first.RecordDir {
		t.Errorf("status %+v", st)
	}
	g.stop("camera")
	if _, stopped, err := g.recorder.Stop(context.Background(), "camera"); stopped || err != nil {
		t.Errorf("second stop: %v, %v", stopped, err)
	}
	if g.recorder.Recording("camera") {
		t.Error("still recording")
	}
}

// Codecs that cannot be recorded are refused with a message; the tracks that
// can be are recorded.
func TestUnrecordableTracks(t *testing.T) {
	g := newRig(t, nil)
	g.publish("g722", unrecordable(t))
	_, err := g.recorder.Start(context.Background(), "g722", "")
	if fault.KindOf(err) != fault.Unprocessable || !strings.Contains(err.Error(), "G722") {
		t.Errorf("G722 alone: %v", err)
	}
	s := g.publish("mixed", source(t, "vp8.ivf"), unrecordable(t))
	g.start("mixed", "")
	s.send(5 * time.Second)
	rec := g.stop("mixed")
	if rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, "G722") {
		t.Errorf("G722 with VP8 ended as %s: %s", rec.Status, rec.Reason)
	}
	s.log.Audio = nil
	g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
}

// unrecordable is media of a codec that the node carries and does not record:
// what is in the packets does not matter.
func unrecordable(t *testing.T) *load.Source {
	t.Helper()
	s := source(t, "opus_mono.ogg")
	s.Codec, s.ClockRate, s.Channels = "G722", 8000, 1
	for i := range s.Units {
		s.Units[i].Duration = 160
	}
	return s
}

// Streams named in auto_streams are recorded from their first packet on.
func TestAutoStreams(t *testing.T) {
	g := newRig(t, func(o *Options) { o.AutoStreams = []string{"web-*"} })
	s := g.publish("web-1", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	other := g.publish("cam", source(t, "opus_mono.ogg"))
	s.send(5 * time.Second)
	other.send(time.Second)
	if g.recorder.Recording("cam") {
		t.Error("cam is recorded, web-* was asked for")
	}
	rec := g.stop("web-1")
	report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
	if first := report.Tracks[0].First; first != 0 {
		t.Errorf("begins with unit %d, want the first", first)
	}
	if _, err := New(Options{Streams: g.streams, Store: g.store, Catalogue: g.catalogue, AutoStreams: []string{"a["}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bad pattern: %v", err)
	}
}

// Patterns that change begin recordings of streams that are there, and end none.
func TestAutoStreamsChange(t *testing.T) {
	g := newRig(t, nil)
	first, second := g.publish("cam-1", source(t, "opus_mono.ogg")), g.publish("cam-2", source(t, "opus_mono.ogg"))
	g.start("cam-2", "")
	second.send(time.Second)
	g.stop("cam-2")
	set := func(patterns ...string) {
		t.Helper()
		if err := g.recorder.SetAutoStreams(patterns); err != nil {
			t.Error(err)
		}
		first.send(3 * time.Second)
		second.send(3 * time.Second)
	}
	set("cam-*")
	if g.recorder.Recording("cam-2") {
		t.Error("cam-2 is recorded again, which somebody has stopped")
	}
	set()
	if fault.KindOf(g.recorder.SetAutoStreams([]string{"a["})) != fault.Invalid {
		t.Error("a bad pattern is taken")
	}
	if rec := g.stop("cam-1"); rec.Duration < 5 {
		t.Errorf("cam-1 has %.1f s", rec.Duration)
	}
}

// A publisher that comes back in time continues its recording in a new Period,
// at the wall clock, whatever it sends then.
func TestReconnect(t *testing.T) {
	for _, tc := range []struct{ first, second, init, segment string }{
		{"h264_baseline.h264", "vp9.ivf", "v_init_0002.m4s", "v_seg_0005.m4s"},
		{"h264_baseline.h264", "vp8.ivf", "v_init_0002.webm", "v_seg_0005.webm"},
		{"vp8.ivf", "h264_baseline.h264", "v_init_0002.m4s", "v_seg_0005.m4s"},
	} {
		t.Run(tc.first+"+"+tc.second, func(t *testing.T) {
			g := newRig(t, nil)
			a := g.publish("camera", source(t, tc.first), source(t, "opus_stereo.ogg"))
			start := g.clock.Now()
			g.start("camera", "")
			a.send(7 * time.Second)
			a.leave()
			g.clock.advance(start.Add(11 * time.Second))
			b := g.publish("camera", source(t, tc.second), source(t, "opus_stereo.ogg"))
			b.send(6 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			if len(got.Periods) != 2 || got.Periods[1].Start != 11*time.Second {
				t.Fatalf("periods %+v, want a second one at 11 s", got.Periods)
			}
			g.compare(a.log, got.InPeriods(0, 0), compare.Options{})
			g.compare(b.log, got.InPeriods(1, 1), compare.Options{})
			if rec.Status != media.StatusComplete || rec.Periods != 2 || rec.Tracks[0].Gaps[0].Cause != arrange.CauseReconnect {
				t.Errorf("ended as %+v", rec)
			}
			for _, name := range []string{tc.init, tc.segment} {
				if _, err := g.store.Stat(context.Background(), rec.RecordDir+"/"+name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// WebM tells time in milliseconds, and a Period begins when it begins: the
// manifest says what is in the segments, whichever way that is rounded.
func TestWebMPeriodBetweenMilliseconds(t *testing.T) {
	for rest, want := range map[time.Duration]media.Ticks{
		400 * time.Microsecond: 11_000 * 90, 600 * time.Microsecond: 11_001 * 90,
	} {
		g := newRig(t, nil)
		a := g.publish("camera", source(t, "h264_baseline.h264"))
		start := g.clock.Now()
		g.start("camera", "")
		a.send(3 * time.Second)
		a.leave()
		g.clock.advance(start.Add(11*time.Second + rest))
		b := g.publish("camera", source(t, "vp8.ivf"))
		b.send(5 * time.Second)
		got := g.read(g.stop("camera").RecordDir)
		g.compare(b.log, got.InPeriods(1, 1), compare.Options{})
		segments := got.InPeriods(1, 1).Tracks[0].Segments
		if got.Periods[1].Start != 11*time.Second || len(segments) != 3 || segments[0].Time != want {
			t.Errorf("periods %+v, segments %+v, want the first at %d", got.Periods, segments, want)
		}
	}
}

// A publisher that stays away ends the recording.
func TestPublisherStaysAway(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(3 * time.Second)
	s.leave()
	g.recorder.mu.Lock()
	done := g.recorder.sessions["camera"].done
	g.recorder.mu.Unlock()
	g.clock.advance(g.clock.Now().Add(5 * time.Second))
	if !g.recorder.Recording("camera") {
		t.Error("ended before reconnect_seconds were over")
	}
	g.clock.advance(g.clock.Now().Add(6 * time.Second))
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the recording did not end")
	}
	if got := g.catalogue.get(rec.RecordDir); got.Status != media.StatusComplete {
		t.Errorf("ended as %+v", got)
	}
	g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
}

// Rotation: the first frame of the new recording is the neighbour of the last
// one of the old.
func TestRotationIsGapless(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		t.Run(video, func(t *testing.T) { rotate(t, video) })
	}
}

// rotate records a video over several recordings.
func rotate(t *testing.T, video string) {
	t.Helper()
	var ended sync.Map // by record_dir: how often each was told to have ended
	g := newRig(t, func(o *Options) {
		o.MaxRecording = 10 * time.Second
		o.Ended = func(r media.Recording) {
			if _, twice := ended.LoadOrStore(r.RecordDir, r.Status); twice || r.End == nil {
				t.Errorf("%s ended twice, or without an end", r.RecordDir)
			}
		}
	})
	s := g.publish("camera", source(t, video), source(t, "opus_stereo.ogg"))
	dirs := []string{g.start("camera", "").RecordDir}
	for range 35 {
		s.send(time.Second)
	}
	last := g.stop("camera").RecordDir
	g.listed()
	g.catalogue.mu.Lock()
	for dir := range g.catalogue.last {
		if dir != dirs[0] && dir != last {
			dirs = append(dirs, dir)
		}
	}
	g.catalogue.mu.Unlock()
	dirs = append(dirs, last)
	if len(dirs) != 4 {
		t.Fatalf("recordings %q, want 4 for 35 s", dirs)
	}
	units := map[media.Kind]int{}
	for _, dir := range dirs {
		rec := g.read(dir)
		report := g.compare(s.log, rec, compare.Options{TailUnits: -1})
		if got := g.catalogue.get(dir); got.Status != media.StatusComplete {
			t.Errorf("%s: %s %s", dir, got.Status, got.Reason)
		}
		if told, ok := ended.Load(dir); !ok || told != media.StatusComplete {
			t.Errorf("%s: its end was told as %v", dir, told)
		}
		if rec.Duration > 11*time.Second {
			t.Errorf("%s lasts %v, the limit is 10 s and a GOP 1 s", dir, rec.Duration)
		}
		for _, tr := range report.Tracks {
			units[tr.Kind] += tr.Recorded
		}
	}
	for _, tr := range s.log.Tracks() {
		if units[tr.Kind] != len(tr.Units) {
			t.Errorf("%s: %d units in all recordings, %d were sent", tr.Kind, units[tr.Kind], len(tr.Units))
		}
	}
}

// Lost packets: the broken frame and those that depend on it are left out, the
// hole is bridged, a key frame is asked for, the ledger tells.
func TestLoss(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.drop = func(k media.Kind, unit, packet int) bool {
		return k == media.Video && unit == 100 && packet == 0 || k == media.Audio && unit >= 200 && unit < 205
	}
	g.start("camera", "")
	s.send(20 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 1 {
		t.Errorf("%d periods, want one", len(got.Periods))
	}
	for _, tr := range s.log.Tracks() {
		for i := range tr.Units {
			if s.drop(tr.Kind, i, 0) {
				tr.Units[i].Lost = 1
			}
		}
	}
	report := g.compare(s.log, got, compare.Options{AllowLost: true, AllowFillers: true})
	if report.Tracks[1].Filled != 5 {
		t.Errorf("%d fillers for 5 lost audio packets", report.Tracks[1].Filled)
	}
	if rec.Status != media.StatusDegraded || rec.Tracks[0].FramesDropped == 0 || rec.Tracks[1].PacketsLost != 5 {
		t.Errorf("ended as %+v", rec)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asks[0] == 0 {
		t.Error("no key frame was asked for")
	}
}

// A sender that pauses: nothing decodable is thrown away, and the last picture
// lasts. A pause that the node has slept through begins a new Period.
func TestPause(t *testing.T) {
	for _, tc := range []struct {
		video   string
		pause   time.Duration
		periods int
		status  media.Status
	}{
		{"h264_baseline.h264", 8 * time.Second, 1, media.StatusComplete},
		{"h264_baseline.h264", 30 * time.Second, 1, media.StatusDegraded},
		{"h264_baseline.h264", 90 * time.Second, 2, media.StatusDegraded},
		{"vp8.ivf", 8 * time.Second, 1, media.StatusComplete},
		{"vp8.ivf", 30 * time.Second, 1, media.StatusDegraded},
		{"vp8.ivf", 90 * time.Second, 2, media.StatusDegraded},
	} {
		t.Run(tc.video+" "+tc.pause.String(), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, tc.video))
			g.start("camera", "")
			s.send(4*time.Second - 10*time.Millisecond) // up to a key frame
			s.pause(tc.pause)
			s.send(4 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			if len(got.Periods) != tc.periods {
				t.Errorf("%d periods, want %d", len(got.Periods), tc.periods)
			}
			g.compare(s.log, got, compare.Options{})
			if rec.Status != tc.status || len(rec.Tracks[0].Gaps) != 1 {
				t.Errorf("ended as %+v", rec)
			}
		})
	}
}

// Sound whose picture never comes is recorded with a neutral one, and that is said.
func TestVideoThatNeverComes(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.drop = func(k media.Kind, _, _ int) bool { return k == media.Video }
	g.start("camera", "")
	s.send(12 * time.Second)
	rec := g.stop("camera")
	s.log.Video = nil
	got := g.read(rec.RecordDir)
	audio := g.compare(s.log, got.WithLayer("none"), compare.Options{}).Tracks[0]
	if audio.Matched != audio.Sent || len(got.Periods) != 1 {
		t.Errorf("%d of %d packets of sound in %d periods", audio.Matched, audio.Sent, len(got.Periods))
	}
	if rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, "video") {
		t.Errorf("ended as %s: %s", rec.Status, rec.Reason)
	}
}

// While it runs the manifest comes from memory and names closed segments only.
func TestLiveManifest(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	if _, _, ok := g.recorder.Manifest(rec.MPDPath); ok {
		t.Error("a manifest before the first segment")
	}
	s.send(13 * time.Second)
	g.caughtUp("camera")
	if st := g.recorder.Status("camera"); st.Info.Duration < 10 {
		t.Fatalf("13 s were sent, %v s are listed", st.Info.Duration)
	}
	data, _, ok := g.recorder.Manifest(rec.MPDPath)
	if !ok || !strings.Contains(string(data), `type="dynamic"`) {
		t.Fatalf("live manifest: %v\n%s", ok, data)
	}
	if !g.recorder.Open(rec.RecordDir+"/v_seg_0007.m4s") && !g.recorder.Open(rec.RecordDir+"/v_seg_0006.m4s") {
		t.Error("no open segment")
	}
	if g.recorder.Open(rec.RecordDir + "/v_seg_0001.m4s") {
		t.Error("the first segment is said to be open")
	}
	g.stop("camera")
	if _, _, ok := g.recorder.Manifest(rec.MPDPath); ok {
		t.Error("a sealed recording is served from memory")
	}
}

func TestNothingReceived(t *testing.T) {
	g := newRig(t, nil)
	g.publish("camera", source(t, "h264_baseline.h264"))
	g.start("camera", "")
	if rec := g.stop("camera"); rec.Status != media.StatusFailed || rec.Reason == "" {
		t.Errorf("ended as %+v", rec)
	}
}

// TestRecordingQuota: what would be one too many is refused, and begins when there is room.
func TestRecordingQuota(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.Quotas = quota.New(quota.Options{All: quota.Limits{Count: quota.Counts{quota.Recordings: 1}}})
	})
	a, b := g.publish("a", source(t, "opus_mono.ogg")), g.publish("b", source(t, "opus_mono.ogg"))
	g.start("a", "")
	if _, err := g.recorder.Start(t.Context(), "b", ""); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "1 recordings") {
		t.Fatalf("one more: %v", err)
	}
	a.send(time.Second)
	g.stop("a")
	g.start("b", "")
	b.send(time.Second)
	g.stop("b")
}

// TestWhoNeverConnectsLeavesNothing: an offer alone makes no recording, in no list and
// not in storage; the first packet does, and whoever asks for one.
func TestWhoNeverConnectsLeavesNothing(t *testing.T) {
	g := newRig(t, func(o *Options) { o.AutoStreams = []string{"*"} })
	s := g.publish("cam", source(t, "opus_mono.ogg"))
	s.pub.Close()
	g.recorder.mu.Lock()
	session := g.recorder.sessions["cam"]
	g.recorder.mu.Unlock()
	g.clock.advance(g.clock.Now().Add(time.Minute))
	select {
	case <-session.done:
	case <-time.After(time.Minute):
		t.Fatal("the session goes on")
	}
	if dirs := g.dirs(); len(dirs) > 0 || g.recorder.Failed() > 0 {
		t.Errorf("recordings of nobody: %q, %d failed", dirs, g.recorder.Failed())
	}
	s = g.publish("cam", source(t, "opus_mono.ogg"))
	if _, stopped, err := g.recorder.Stop(t.Context(), "cam"); stopped || err != nil {
		t.Errorf("nothing was recorded, and is stopped: %v", err)
	}
	s.pub.Close()
	s = g.publish("asked", source(t, "opus_mono.ogg"))
	if rec, err := g.recorder.Start(t.Context(), "asked", ""); err != nil || rec.RecordDir == "" {
		t.Errorf("asked for: %v %q", err, rec.RecordDir)
	}
	s.send(time.Second)
	g.stop("asked")
}

// onlyWhole is a store that takes objects only whole.
type onlyWhole struct{ Store }

func (onlyWhole) Traits() storage.Traits { return storage.Traits{} }

// TestNewNeedsGrowth: nothing is recorded to a store that would lose an open segment.
func TestNewNeedsGrowth(t *testing.T) {
	g := newRig(t, nil)
	if _, err := New(Options{Streams: g.streams, Store: onlyWhole{g.store}, Catalogue: g.catalogue}); err == nil {
		t.Error("a store that takes objects only whole: no error")
	}
}
