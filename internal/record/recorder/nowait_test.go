package recorder

import (
	"bytes"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/await"
)

// Storage that takes no manifest, no recording.json and no sample index for ten seconds
// holds up no packet, over a rotation too. Then it has everything.
func TestMediaDoesNotWait(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) {
		o.MaxRecording, o.SegmentDuration = 6*time.Second, 20*time.Millisecond // so short that groups of indexes fill
	})
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	hold := make(chan struct{})
	var held, indexes atomic.Int32
	f.set(&f.onPut, func(key string) error {
		if storage.ClassOf(key) == storage.Media && !media.IsSampleIndex(key[strings.LastIndex(key, "/")+1:]) {
			return nil
		}
		held.Add(1)
		<-hold
		if strings.HasSuffix(key, ".idx") {
			indexes.Add(1)
		}
		return nil
	})
	s.send(10 * time.Second)
	g.caughtUp("camera")
	if n := len(g.dirs()); n != 2 || held.Load() == 0 {
		t.Errorf("storage has %d recordings, and was asked for %d objects", n, held.Load())
	}
	close(hold)
	s.send(4 * time.Second)
	g.stop("camera")
	g.checkRotated("camera", s)
	if indexes.Load() == 0 {
		t.Error("no sample index was stored")
	}
}

// Storage that takes ten seconds to give the next recording its folder holds up no packet.
// The recordings are the same as if it had given it at once.
func TestClaimHoldsUpNoPacket(t *testing.T) {
	for _, slow := range []bool{false, true} {
		g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 6 * time.Second })
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		first := g.start("camera", "").RecordDir
		hold := make(chan struct{})
		if slow {
			f.set(&f.onCreate, func(key string) error {
				if strings.HasSuffix(key, infoName) {
					<-hold
				}
				return nil
			})
		}
		s.send(5 * time.Second)
		g.caughtUp("camera")
		s.send(10 * time.Second)
		if slow {
			g.recorder.mu.Lock()
			session := g.recorder.sessions["camera"]
			g.recorder.mu.Unlock()
			await.Until(t, "all packets to be taken", func() bool { return session.taken.Load() == g.items["camera"] })
			if dirs := g.dirs(); len(dirs) != 1 || g.recorder.Status("camera").Info.RecordDir != first {
				t.Errorf("there are %v", dirs)
			}
		}
		close(hold)
		g.stop("camera")
		g.checkRotated("camera", s)
		var lengths []float64
		for _, dir := range g.dirs() {
			lengths = append(lengths, g.info(dir).Duration)
		}
		if want := []float64{6, 6, 3}; !slices.EqualFunc(lengths, want, func(a, b float64) bool { return math.Abs(a-b) < 0.1 }) {
			t.Errorf("slow %v: recordings of %v s, want %v", slow, lengths, want)
		}
	}
}

// Not more recordings than some wait to be sealed: then media waits, and that is logged.
func TestEndingIsBounded(t *testing.T) {
	const bound = 8
	var log bytes.Buffer
	var mu sync.Mutex
	g, f := faultyRig(t, func(o *Options) {
		o.MaxRecording = time.Second
		o.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
	})
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	hold := make(chan struct{})
	f.set(&f.onPut, func(key string) error {
		if storage.ClassOf(key) != storage.Media {
			<-hold
		}
		return nil
	})
	s.send(2 * bound * time.Second)
	await.Until(t, "a warning", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), "media waits until")
	})
	if n := len(g.dirs()); n != bound+2 { // the one that waits to be the next to wait, and the one after it
		t.Errorf("%d recordings have begun while storage took none of their ends", n)
	}
	close(hold)
	g.stop("camera")
	g.checkRotated("camera", s)
}
