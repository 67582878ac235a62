package recorder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

const anotherType = "payload type 97 came, 96 was negotiated"

// discard tells the recorder of packets that came and are of no track.
func (s *sender) discard(packets int64, cause string) {
	s.g.items[s.stream]++
	s.pub.WriteDiscard(&media.Discard{Cause: cause, Packets: packets})
}

// Packets that came and are of no track are in the ledger, while it runs too, and where
// they are many the verdict says so, in the words for most of them.
func TestDiscarded(t *testing.T) {
	for many, want := range map[int64]struct {
		status media.Status
		reason string
	}{
		2:   {media.StatusComplete, ""},
		300: {media.StatusDegraded, "301 packets could not be recorded: " + anotherType},
	} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.steps(3 * time.Second)
			s.discard(1, "what was damaged")
			s.discard(many/2, anotherType)
			s.steps(3 * time.Second)
			s.discard(many/2, anotherType)
			s.steps(3 * time.Second)
			all := []media.Discard{{Cause: "what was damaged", Packets: 1}, {Cause: anotherType, Packets: many}}
			if got := g.recorder.Status("camera").Info.Discarded; !slices.Equal(got, all) {
				t.Errorf("while it runs: %+v, want %+v", got, all)
			}
			rec := g.stop("camera")
			g.read(rec.RecordDir)
			if got := g.info(rec.RecordDir); !slices.Equal(got.Discarded, all) || got.Status != want.status || got.Reason != want.reason {
				t.Errorf("%+v, %s (%s), want %+v, %s (%s)", got.Discarded, got.Status, got.Reason, all, want.status, want.reason)
			}
		})
	}
}

// A crash in the first seconds takes none of what was counted of no track until the last
// segment was closed, and nothing of it is counted twice.
func TestDiscardedOverACrash(t *testing.T) {
	images, _ := shot(t, false, func(*Options) {}, func(g *rig) []*sender {
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		g.start("camera", "")
		s.steps(2500 * time.Millisecond)
		s.discard(40, anotherType)
		g.caughtUp("camera")
		g.recorder.sessions["camera"].rec.CountOverrun(7)
		s.steps(4 * time.Second)
		return []*sender{s}
	})
	g := after(t, images[len(images)-1], time.Now().Add(time.Hour), time.Second)
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.listed()
	info := g.info(g.dirs()[0])
	if want := []media.Discard{{Cause: anotherType, Packets: 40}}; !slices.Equal(info.Discarded, want) || info.PacketsOverrun != 7 {
		t.Errorf("%+v and %d packets dropped, want %+v and 7", info.Discarded, info.PacketsOverrun, want)
	}
}
