package recorder

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Rotation keeps working while storage is slow, and a stream whose storage
// stands still keeps no other from rotating.
func TestRotationOnSlowStorage(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 6 * time.Second })
	slow := g.publish("slow", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	other := g.publish("other", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	first := g.start("slow", "").RecordDir
	g.start("other", "")
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.set(&f.onCreate, func(key string) error {
		if strings.HasPrefix(key, "slow/") && !strings.HasPrefix(key, first) && strings.HasSuffix(key, infoName) {
			once.Do(func() { close(held) }) // the directory of the next recording
			<-hold
		}
		return nil
	})
	slow.send(20 * time.Second)
	<-held
	other.send(20 * time.Second) // while the slow one stands still
	g.stop("other")
	g.checkRotated("other", other)
	close(hold)
	g.stop("slow")
	g.checkRotated("slow", slow)
}

// checkRotated checks that all recordings of a stream are complete, and have
// together what was sent.
func (g *rig) checkRotated(stream string, s *sender) {
	g.t.Helper()
	g.listed()
	frames, recordings := map[string]int64{}, 0
	g.catalogue.mu.Lock()
	defer g.catalogue.mu.Unlock()
	for _, rec := range g.catalogue.last {
		if rec.Stream != stream {
			continue
		}
		recordings++
		if rec.Status != media.StatusComplete {
			g.t.Errorf("%s: %s %s", rec.RecordDir, rec.Status, rec.Reason)
		}
		for _, tr := range rec.Tracks {
			frames[tr.Kind] += tr.Frames
		}
	}
	if recordings < 3 {
		g.t.Errorf("%s: %d recordings of 20 s, the limit is 6 s", stream, recordings)
	}
	for _, tr := range s.log.Tracks() {
		if got := frames[tr.Kind.String()]; got != int64(len(tr.Units)) {
			g.t.Errorf("%s %s: %d frames in all recordings, %d were sent", stream, tr.Kind, got, len(tr.Units))
		}
	}
}

// Streams that begin together do not rotate together: their first recordings
// are of different lengths, but hardly shorter than the limit.
func TestRotationsAreStaggered(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = time.Hour })
	limits := map[time.Duration]bool{}
	const streams = 100
	for i := range streams {
		s := &session{r: g.recorder, stream: "camera-" + string(rune('a'+i%26)) + string(rune('a'+i/26))}
		first := s.limit()
		limits[first] = true
		if first > time.Hour || first < 59*time.Minute {
			t.Errorf("%s: the first recording is rotated after %v", s.stream, first)
		}
		s.dirs = 1
		if next := s.limit(); next != time.Hour {
			t.Errorf("%s: the second recording is rotated after %v", s.stream, next)
		}
	}
	if len(limits) < streams*8/10 {
		t.Errorf("%d streams rotate at %d different times", streams, len(limits))
	}
}
