//go:build !race

package recorder

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// impatient is a rig whose recordings do not wait for their publishers.
func impatient(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		o.AutoStreams, o.Reconnect = []string{"*"}, 0
		if change != nil {
			change(o)
		}
	})
}

// visit publishes for a time and leaves. It returns when the recorder has dealt with that.
func (g *rig) visit(stream string, d time.Duration, sources ...*load.Source) *sender {
	g.t.Helper()
	session := func() *session {
		g.recorder.mu.Lock()
		defer g.recorder.mu.Unlock()
		return g.recorder.sessions[stream]
	}
	if session() == nil {
		g.items[stream] = 0
	}
	s := g.publish(stream, sources...)
	s.steps(d)
	s.leave()
	await.Until(g.t, "the recording has ended, or goes on", func() bool {
		s := session()
		return s == nil || g.recorder.pace.wait(stream, g.clock.Now()) > 0 && s.dealt.Load() == g.items[stream]
	})
	return s
}

// A publisher that comes back more often than recordings may begin goes on in the one
// that there is, of which nothing is missing without a word. One that comes back a dozen
// times in a minute has a recording each time.
func TestManyRecordings(t *testing.T) {
	g := impatient(t, nil)
	sent := map[string]int64{}
	start := g.clock.Now()
	for range 120 {
		s := g.visit("camera", 250*time.Millisecond, source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		for _, tr := range s.tracks {
			sent[tr.Kind.String()] += int64(len(tr.log.Units))
		}
	}
	took := g.clock.Now().Sub(start)
	g.clock.advance(g.clock.Now().Add(time.Minute))
	await.Until(t, "the last recording has ended", func() bool { return len(g.recorder.Active()) == 0 })
	g.listed()
	recordings, complete, periods := g.catalogue.all(), 0, 0
	for dir, rec := range recordings {
		whole(t, rec, g.read(dir))
		if rec.Status == media.StatusComplete {
			complete++
		}
		periods += rec.Periods
		for _, tr := range rec.Tracks {
			sent[tr.Kind] -= tr.Frames + tr.FramesDropped + tr.PacketsCorrected
		}
	}
	if most := recordingBurst + int(took/recordingEvery); len(recordings) > most || complete < recordingBurst-1 {
		t.Errorf("%d recordings in %v, %d of them complete; there may be %d, and %d are without a limit", len(recordings), took, complete, most, recordingBurst)
	}
	if most := recordingBurst + 10*int(took/recordingEvery) + int(took/time.Second) + 10; periods > most {
		t.Errorf("%d Periods in %v, there may be %d", periods, took, most)
	}
	for kind, n := range sent {
		if n != 0 {
			t.Errorf("%s: %d frames are nowhere, and not said to be", kind, n)
		}
	}
	if n := g.recorder.LeftOut(); n > 0 {
		t.Errorf("%d packets are in no recording", n)
	}
}

// What comes while no recording may begin, and none is there to go on, is counted and said:
// in the status, to who asks for one, and in the next.
func TestRecordingThatHasToWait(t *testing.T) {
	var quotas *quota.Quotas
	g := impatient(t, func(o *Options) {
		quotas = quota.New(quota.Options{Now: o.Now})
		o.Quotas = quotas
	})
	for range recordingBurst {
		g.items["camera"] = 0
		s := g.publish("camera", source(t, "opus_mono.ogg"))
		s.steps(20 * time.Millisecond)
		g.stop("camera")
		s.pub.Close()
	}
	for range 2 { // who comes back meanwhile is counted with the next
		g.visit("camera", 500*time.Millisecond, source(t, "opus_mono.ogg"))
	}
	before := g.recorder.LeftOut()
	g.items["camera"] = 0
	s := g.publish("camera", source(t, "opus_mono.ogg"))
	s.steps(2 * time.Second)
	if n := g.recorder.LeftOut(); before != 50 || n != 150 {
		t.Errorf("%d packets of 50 are counted, and %d of 150", before, n)
	}
	if st := g.recorder.Status("camera"); st.Recording || !strings.Contains(st.Error, "recordings of this stream begin too often") {
		t.Errorf("the status says %+v", st)
	}
	_, err := g.recorder.Start(t.Context(), "camera", "")
	if wait := (*fault.WaitError)(nil); fault.KindOf(err) != fault.TooMany || !errors.As(err, &wait) || wait.Seconds() < 1 || wait.Seconds() > 10 {
		t.Errorf("who asks for a recording is told %v", err)
	}
	if got, want := fmt.Sprint(quotas.Refused()), fmt.Sprint(map[quota.Refusal]int64{{Of: "stream", Limit: "recordings"}: 1}); got != want {
		t.Errorf("refused %s, want %s", got, want)
	}
	s.steps(10 * time.Second)
	rec := g.stop("camera")
	sent := int64(len(s.tracks[0].log.Units))
	if len(rec.Discarded) != 1 || rec.Discarded[0].Cause != causePace || rec.Tracks[0].Frames+rec.Discarded[0].Packets != sent+50 || g.recorder.LeftOut() != rec.Discarded[0].Packets {
		t.Errorf("%d frames and %+v of %d, and %d left out", rec.Tracks[0].Frames, rec.Discarded, sent+50, g.recorder.LeftOut())
	}
	if rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, causePace) || g.recorder.Failed() > 0 {
		t.Errorf("%s (%s), %d failed", rec.Status, rec.Reason, g.recorder.Failed())
	}
}

// Somebody who asks for one recording after the other is told when the next may begin, and
// others are not held up.
func TestManyStarts(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_mono.ogg"))
	g.publish("other", source(t, "opus_mono.ogg"))
	for range recordingBurst {
		g.start("camera", "")
		g.stop("camera")
	}
	if _, err := g.recorder.Start(t.Context(), "camera", ""); fault.KindOf(err) != fault.TooMany {
		t.Fatalf("one more than may begin: %v", err)
	}
	g.start("other", "")
	g.stop("other")
	s.pause(recordingEvery)
	g.start("camera", "")
	g.stop("camera")
}

// What is remembered of streams is bounded, and who began the most has to wait.
func TestPaceIsBounded(t *testing.T) {
	p := pace{streams: map[string]*paced{}}
	now := time.Unix(1_700_000_000, 0)
	for range recordingBurst {
		p.begun("often", now)
	}
	for i := range 2 * maxPaced {
		p.begun(fmt.Sprint(i), now.Add(time.Second))
	}
	if n := len(p.streams); n > maxPaced || p.wait("often", now) != recordingEvery {
		t.Errorf("%d streams are remembered, and the one of most recordings waits %v", n, p.wait("often", now))
	}
	for i := range maxPaced {
		p.begun(fmt.Sprint("later-", i), now.Add(time.Hour))
	}
	if n := len(p.streams); n > maxPaced || p.streams["often"] != nil {
		t.Errorf("%d streams are remembered, among them of an hour ago: %v", n, p.streams["often"] != nil)
	}
}
