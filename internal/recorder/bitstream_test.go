package recorder

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/codec"
	"github.com/live777/recorder/internal/live"
	"github.com/live777/recorder/internal/load"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/verify"
)

// parameters is what a node gives to live.
func parameters(t media.Track) live.Keeper {
	if k := codec.NewKeeper(t); k != nil {
		return k
	}
	return nil
}

// changed returns a source whose bitstream was changed.
func changed(t *testing.T, name string, change func(*load.Source) (*load.Source, error)) *load.Source {
	t.Helper()
	src, err := change(source(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// The parameter sets were sent once, before the recording began.
func TestParameterSetsBeforeTheRecording(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", changed(t, "h264_baseline.h264", (*load.Source).SetsOnce), source(t, "opus_stereo.ogg"))
	s.send(4500 * time.Millisecond)
	g.start("camera", "")
	s.send(9 * time.Second)
	rec := g.stop("camera")
	if rec.Status != media.StatusComplete || rec.Periods != 1 {
		t.Errorf("ended %s, %q, with %d Periods", rec.Status, rec.Reason, rec.Periods)
	}
	got := g.read(rec.RecordDir)
	video, _ := got.Track(media.Video)
	if len(video.Samples) < 8*30 {
		t.Errorf("%d frames were recorded", len(video.Samples))
	}
	g.compare(s.log, got, verify.CompareOptions{})
}

// The same stream with other ids of its sets with each key frame, and with SEI
// before them, is one Period, from its first frame on.
func TestBitstreamsOfSenders(t *testing.T) {
	for name, change := range map[string]func(*load.Source) (*load.Source, error){
		"other ids": (*load.Source).NewIDs,
		"sei first": (*load.Source).SEIFirst,
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", changed(t, "h264_baseline.h264", change), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.send(30 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			video, _ := got.Track(media.Video)
			if rec.Status != media.StatusComplete || rec.Periods != 1 || len(video.Inits) != 1 {
				t.Errorf("ended %s, %q, with %d Periods and %d init segments", rec.Status, rec.Reason, rec.Periods, len(video.Inits))
			}
			g.compare(s.log, got, verify.CompareOptions{})
		})
	}
}
