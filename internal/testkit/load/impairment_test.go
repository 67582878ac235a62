package load

import (
	"math"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

func TestLossForGood(t *testing.T) {
	t.Parallel()
	video := mediaFile(t, "h264_slices.h264")
	r := newReceiver(t, true, video)
	log := r.publish(t.Context(), Options{
		Video: video, Pace: 10, Units: 100, Loss: 0.02, LossBurst: 2, LossNoRTX: true, Seed: 1,
	})
	packets, _, _ := r.bySequence(media.Video)
	l := log.Video
	if len(l.Dropped) == 0 || len(packets) != l.Packets-len(l.Dropped) {
		t.Fatalf("%d of %d packets arrived, %d were dropped", len(packets), l.Packets, len(l.Dropped))
	}
	arrived := map[uint16]bool{}
	for _, p := range packets {
		arrived[p.SequenceNumber] = true
	}
	lost := 0
	for i, d := range l.Dropped {
		if arrived[d.Seq] || !d.Final {
			t.Errorf("packet %d arrived, or is not logged as final", d.Seq)
		}
		if i%2 == 1 && d.Seq != l.Dropped[i-1].Seq+1 {
			t.Errorf("losses %d and %d are no burst of two", l.Dropped[i-1].Seq, d.Seq)
		}
	}
	for _, u := range l.Units {
		lost += u.Lost
	}
	if lost != len(l.Dropped) {
		t.Errorf("units count %d lost packets, %d were dropped", lost, len(l.Dropped))
	}
	checkUnits(t, l, samples(t, "H264", packets))
}

func TestLossIsRepaired(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_stereo.ogg")
	r := newReceiver(t, true, video)
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, Pace: 4, Duration: 4 * time.Second, Loss: 0.05, Seed: 3,
		Drain: 500 * time.Millisecond,
	})
	for _, l := range log.Tracks() {
		packets, _, late := r.bySequence(l.Kind)
		if len(l.Dropped) == 0 || l.NACKs < len(l.Dropped) || late == 0 {
			t.Errorf("%s: %d dropped, %d asked for again, %d late", l.Kind, len(l.Dropped), l.NACKs, late)
		}
		for _, d := range l.Dropped {
			if d.Final {
				t.Errorf("%s packet %d is logged as lost for good", l.Kind, d.Seq)
			}
		}
		checkUnits(t, l, samples(t, l.Codec, packets))
	}
}

// A receiver that never asks again makes every loss final.
func TestLossWithoutNACK(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), Options{Audio: audio, Pace: 10, Units: 100, Loss: 0.1, Seed: 1})
	packets, _, _ := r.bySequence(media.Audio)
	if len(log.Audio.Dropped) == 0 {
		t.Error("nothing was dropped")
	}
	checkUnits(t, log.Audio, samples(t, "opus", packets))
}

func TestReorderAndDuplicate(t *testing.T) {
	t.Parallel()
	video := mediaFile(t, "h264_baseline.h264")
	r := newReceiver(t, false, video)
	log := r.publish(t.Context(), Options{
		Video: video, Pace: 4, Units: 100, Reorder: 0.1, ReorderBy: 50 * time.Millisecond, Duplicate: 0.1, Seed: 2,
	})
	packets, duplicates, late := r.bySequence(media.Video)
	l := log.Video
	if len(packets) != l.Packets || duplicates != l.Duplicated {
		t.Errorf("%d packets and %d duplicates, want %d and %d", len(packets), duplicates, l.Packets, l.Duplicated)
	}
	if l.Duplicated < l.Packets/20 || l.Duplicated > l.Packets/5 {
		t.Errorf("%d of %d packets sent twice, want about a tenth", l.Duplicated, l.Packets)
	}
	if l.Reordered == 0 || late == 0 || late > l.Reordered*4 {
		t.Errorf("%d packets made late, %d arrived late", l.Reordered, late)
	}
	checkUnits(t, l, samples(t, "H264", packets))
}

func TestTrackDelay(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_stereo.ogg")
	r := newReceiver(t, true, video)
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, Duration: 500 * time.Millisecond, VideoDelay: 250 * time.Millisecond,
	})
	if log.Video.Units[0].NTP != log.Audio.Units[0].NTP {
		t.Error("a delay of the network must not move the sender's clock")
	}
	d := r.packets[media.Video][0].at.Sub(r.packets[media.Audio][0].at)
	if d < 200*time.Millisecond || d > 450*time.Millisecond {
		t.Errorf("video arrives %v after audio, want 250 ms", d)
	}
	for _, l := range log.Tracks() {
		packets, _, _ := r.bySequence(l.Kind)
		checkUnits(t, l, samples(t, l.Codec, packets))
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), Options{
		Audio: audio, Duration: 1200 * time.Millisecond, StallAt: 300 * time.Millisecond, StallFor: 600 * time.Millisecond,
	})
	packets, _, late := r.bySequence(media.Audio)
	var pause time.Duration
	for i := range packets[1:] {
		pause = max(pause, packets[i+1].at.Sub(packets[i].at))
		if packets[i+1].Timestamp != packets[i].Timestamp+960 {
			t.Errorf("timestamps jump from %d to %d", packets[i].Timestamp, packets[i+1].Timestamp)
		}
	}
	if pause < 550*time.Millisecond || pause > 900*time.Millisecond || late > 0 {
		t.Errorf("longest silence %v with %d packets late, want 600 ms and none", pause, late)
	}
	checkUnits(t, log.Audio, samples(t, "opus", packets))
}

func TestPause(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, true, video)
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, Pace: 10, Duration: 5 * time.Second, PauseAt: time.Second, PauseFor: 3 * time.Second,
	})
	for _, l := range log.Tracks() {
		var jump media.Ticks
		for i := range l.Units[1:] {
			jump = max(jump, media.Ticks(l.Units[i+1].Timestamp-l.Units[i].Timestamp))
		}
		nominal := media.Ticks(l.ClockRate) / 50
		if l.Kind == media.Video {
			nominal = media.Ticks(l.ClockRate) / 30
		}
		if jump != 3*media.Ticks(l.ClockRate)+nominal {
			t.Errorf("%s timestamps jump by %d ticks", l.Kind, jump)
		}
		checkLog(t, l)
		packets, _, _ := r.bySequence(l.Kind)
		checkUnits(t, l, samples(t, l.Codec, packets))
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), Options{Audio: audio, Duration: time.Second, Jitter: 100 * time.Millisecond, Seed: 4})
	packets, _, late := r.bySequence(media.Audio)
	var longest, shortest time.Duration = 0, time.Hour
	for i := range packets[1:] {
		d := packets[i+1].at.Sub(packets[i].at)
		longest, shortest = max(longest, d), min(shortest, d)
	}
	if late > 0 || longest < 40*time.Millisecond || shortest > 5*time.Millisecond {
		t.Errorf("packets 20 ms apart arrive %v to %v apart, %d late", shortest, longest, late)
	}
	checkUnits(t, log.Audio, samples(t, "opus", packets))
}

func TestTimestampJump(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_mono.ogg")
	for _, by := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		r := newReceiver(t, false, video)
		log := r.publish(t.Context(), Options{
			Video: video, Audio: audio, Pace: 10, Duration: 4 * time.Second, JumpAt: 2 * time.Second, JumpBy: by, SenderReports: true,
		})
		for _, l := range log.Tracks() {
			jumps := 0
			for i := range l.Units[1:] {
				a, b := l.Units[i], l.Units[i+1]
				step := b.NTP.Sub(a.NTP)
				if step > 40*time.Millisecond || step <= 0 {
					t.Fatalf("%s: the sender's clock goes from %v to %v", l.Kind, a.NTP, b.NTP)
				}
				if d := b.Timestamp - a.Timestamp; d != int64(media.TicksOf(step, l.ClockRate)) {
					jumps++
					if want := int64(media.TicksOf(by+step, l.ClockRate)); d < want-1 || d > want+1 {
						t.Errorf("%s: timestamps jump by %d ticks, want %d", l.Kind, d, want)
					}
				}
			}
			if jumps != 1 {
				t.Errorf("%s: %d jumps, want one", l.Kind, jumps)
			}
			packets, _, _ := r.bySequence(l.Kind)
			checkUnits(t, l, samples(t, l.Codec, packets))
		}
	}
}

func TestImpairmentIsSeeded(t *testing.T) {
	o := Options{Loss: 0.1, LossBurst: 3, Reorder: 0.2, ReorderBy: time.Second, Duplicate: 0.3, Seed: 7}
	a, b := newImpairment(&o, 1), newImpairment(&o, 1)
	other := newImpairment(&o, 2)
	const n = 20000
	var lost, late, twice, differ int
	for range n {
		f := a.next()
		if f != b.next() {
			t.Fatal("the same seed gives different faults")
		}
		if f != other.next() {
			differ++
		}
		switch {
		case f.lost:
			lost++
		case f.late > 0:
			late++
		}
		if f.twice {
			twice++
		}
	}
	if differ == 0 {
		t.Error("two tracks have the same faults")
	}
	near := func(name string, got int, want float64) {
		if math.Abs(float64(got)/n-want) > 0.02 {
			t.Errorf("%s: %.3f of the packets, want %.3f", name, float64(got)/n, want)
		}
	}
	// A loss begins at 0.1 of the packets that are not within one: 0.3 / (0.9 + 0.3).
	near("lost", lost, 0.25)
	near("late", late, 0.2*0.75)
	near("twice", twice, 0.3*0.75)
}
