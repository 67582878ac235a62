package recorder

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// withPreroll keeps the newest seconds of streams.
func withPreroll(d time.Duration) func(*Options) {
	return func(o *Options) { o.Preroll, o.PrerollStreams = d, []string{"cam*"} }
}

// startLate begins a recording of a stream of which items have come already.
func (g *rig) startLate(stream string) media.Recording {
	g.t.Helper()
	rec, err := g.recorder.Start(context.Background(), stream, "")
	if err != nil {
		g.t.Fatal(err)
	}
	return rec
}

// A recording has what came before it was started: from the last key frame on that is old
// enough, whole, with the wall clock and the sync that it had then.
func TestPreroll(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf", "h264_high.h264", "av1.ivf"} {
		t.Run(video, func(t *testing.T) {
			g := newRig(t, withPreroll(5*time.Second))
			s := g.publish("camera", source(t, video), source(t, "opus_stereo.ogg"))
			s.send(20 * time.Second)
			asked := g.clock.Now()
			g.startLate("camera")
			s.send(4 * time.Second)
			g.caughtUp("camera")
			rec := g.stop("camera")
			early := asked.Sub(rec.Start)
			if early < 5*time.Second || early > 9*time.Second {
				t.Errorf("it begins %v before it was asked for", early)
			}
			if want := early + 4*time.Second; math.Abs(rec.Duration-want.Seconds()) > 0.1 {
				t.Errorf("it lasts %v s, want %v", rec.Duration, want)
			}
			if rec.Status != media.StatusComplete || !rec.Tracks[0].Synced || !rec.Tracks[1].Synced {
				t.Errorf("ended as %+v", rec)
			}
			for _, tr := range rec.Tracks {
				if len(tr.Gaps) > 0 || tr.FramesBeforeKey > 0 {
					t.Errorf("%s: %+v", tr.Kind, tr)
				}
			}
			report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
			first := s.log.Video.Units[report.Tracks[0].First]
			if !first.Key || first.Sent.Sub(rec.Start).Abs() > 100*time.Millisecond {
				t.Errorf("it begins with unit %d, a key frame %v, sent at %v, and says %v", report.Tracks[0].First, first.Key, first.Sent, rec.Start)
			}
			await.Until(t, "the stream is kept anew", func() bool {
				g.recorder.mu.Lock()
				defer g.recorder.mu.Unlock()
				return g.recorder.prerolls["camera"] != nil
			})
		})
	}
}

// Sound alone is kept for as long as is wanted.
func TestPrerollOfSound(t *testing.T) {
	g := newRig(t, withPreroll(3*time.Second))
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	s.send(10 * time.Second)
	asked := g.clock.Now()
	g.startLate("camera")
	s.send(2 * time.Second)
	rec := g.stop("camera")
	if early := asked.Sub(rec.Start); early < 2900*time.Millisecond || early > 3100*time.Millisecond || rec.Status != media.StatusComplete {
		t.Errorf("it begins %v early, and ended as %+v", early, rec)
	}
	g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
}

// Nothing is kept that nobody wants: of streams that are recorded, of others than those
// that are named, of publishers that have left, and of what is too old.
func TestPrerollKeepsNoMore(t *testing.T) {
	g := newRig(t, func(o *Options) {
		withPreroll(5 * time.Second)(o)
		o.AutoStreams = []string{"cam-auto"}
	})
	kept := func() int {
		g.recorder.mu.Lock()
		defer g.recorder.mu.Unlock()
		return len(g.recorder.prerolls)
	}
	g.publish("cam-auto", source(t, "opus_mono.ogg")).send(time.Second)
	g.publish("room", source(t, "opus_mono.ogg")).send(time.Second)
	if n := kept(); n != 0 {
		t.Errorf("%d streams are kept", n)
	}
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	s.send(8 * time.Second)
	g.clock.advance(g.clock.Now().Add(time.Minute)) // it has paused
	s.at += time.Minute
	for _, tr := range s.tracks {
		tr.next += time.Minute
		tr.ts += int64(media.TicksOf(time.Minute, tr.ClockRate))
	}
	asked := g.clock.Now()
	g.startLate("camera")
	s.send(6 * time.Second)
	rec := g.stop("camera")
	if rec.Start.Before(asked) {
		t.Errorf("it begins at %v, asked for at %v", rec.Start, asked)
	}
	s.leave()
	await.Until(t, "nothing is kept of who has left", func() bool { return kept() == 0 && g.recorder.Prerolled() == 0 })
	back := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	back.send(12 * time.Second)
	if kept() != 1 {
		t.Error("nothing is kept of who has come back")
	}
	g.startLate("camera")
	back.send(time.Second)
	rec = g.stop("camera")
	g.compare(back.log, g.read(rec.RecordDir), compare.Options{})
}

// What is kept is bounded, of a stream and of all.
func TestPrerollIsBounded(t *testing.T) {
	g := newRig(t, withPreroll(time.Hour))
	tracks := []media.Track{{Kind: media.Video, Codec: "H264", ClockRate: 90000}}
	pub, err := g.streams.Publish("camera", live.SessionInfo{ID: "s"}, tracks, newSender(g.clock.Now(), nil))
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, "h264_baseline.h264")
	s := newSender(g.clock.Now(), []*load.Source{src})
	s.g, s.stream, s.pub = g, "camera", pub
	big := make([]byte, 1<<20)
	big[0] = 0x0c // filler data
	for range 3 {
		s.send(10 * time.Second)
		for i := range maxPreroll / len(big) / 2 {
			tr := s.tracks[0]
			tr.seq++
			pub.WritePacket(&media.Packet{SSRC: tr.ssrc, Seq: tr.seq, Timestamp: uint32(tr.ts) + uint32(i), Marker: true, Payload: big, Arrival: g.clock.Now()})
		}
		await.Until(t, "it is within its bound", func() bool {
			n := g.recorder.Prerolled()
			return n > 0 && n <= maxPreroll
		})
	}
	g.recorder.prerolled.bytes.Add(maxPrerolls)
	s.send(5 * time.Second)
	await.Until(t, "it keeps nothing where others have everything", func() bool { return g.recorder.Prerolled() <= maxPrerolls })
	g.recorder.prerolled.bytes.Add(-maxPrerolls)
	pub.Close()
	await.Until(t, "nothing is kept", func() bool { return g.recorder.Prerolled() == 0 })
}
