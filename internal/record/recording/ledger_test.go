package recording

import (
	"fmt"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
)

// However many causes there are, each packet is counted.
func TestManyDiscards(t *testing.T) {
	rec := &Recording{}
	for i := range 100 {
		rec.CountDiscarded(media.Discard{Cause: fmt.Sprintf("cause %d", i%50), Packets: 3})
	}
	all := rec.info.Discarded
	if len(all) != maxDiscards || sumOf(all) != 300 || all[0].Packets != 6 || all[maxDiscards-1].Cause != otherDiscards {
		t.Errorf("%d causes of %d packets: %+v", len(all), sumOf(all), all)
	}
}

// A hole that lasts over a crash is one.
func TestHoleOverACrash(t *testing.T) {
	l := lane{Kind: media.Video, Layer: 1}
	rec := &Recording{
		filled: map[lane]*filling{}, states: map[lane]*segmenter.State{}, closed: map[lane]int64{}, end: 30 * time.Second,
	}
	hole := media.Gap{Start: 9.4, Duration: 16.2, Cause: arrange.CauseLayer}
	rec.applyGap(l, hole)
	rec.applyAborted()
	hole.Duration = 56.4
	rec.applyGap(l, hole)
	if gaps := rec.ledger(l).Gaps; len(gaps) != 1 || gaps[0] != hole {
		t.Errorf("the ledger has %v, want %v alone", gaps, hole)
	}
}

// Sound that waited when its recording was broken off, and whose time was taken to be another
// meanwhile, does not reach beyond the end of its Period.
func TestWaitingSoundEndsWithItsPeriod(t *testing.T) {
	f := &media.Format{Codec: "opus", RFC6381: "opus", Timescale: 48000, Channels: 2}
	rec := &Recording{waiting: waitingEntry{Format: f}}
	const packet = 960
	for _, at := range []media.Ticks{0, 1, 2, 1, 2, 3} {
		rec.waiting.Samples = append(rec.waiting.Samples, waitingSample{Time: at * packet, Duration: packet})
	}
	samples := rec.sound(f, 0, 3*packet, segmenter.Sample{Duration: packet})
	if last := samples[len(samples)-1]; last.Time+last.Duration > 3*packet+packet/2 {
		t.Errorf("of %d packets the last ends at %d, the Period at %d", len(samples), last.Time+last.Duration, 3*packet)
	}
}
