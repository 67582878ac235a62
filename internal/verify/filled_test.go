package verify

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/load"
	"github.com/live777/recorder/internal/media"
)

// pausedAt and resumedAt are the units of vp9.ivf between which the camera of
// paused was off; it has a key frame every 30.
const pausedAt, resumedAt = 100, 253

// paused returns the log of a sender whose camera was off, and its recording as
// it should be: the last picture lasts, a copy of its key frame begins what a
// segment would, and before the pictures go on, those since the key frame are
// repeated, a tick each.
func paused(t testing.TB) (*load.Log, *fake) {
	t.Helper()
	log := sentLog(t, "vp9.ivf", "opus_mono.ogg", 13)
	f := record(t, log)
	tr, sent := f.tracks[0], log.Video.Units
	end := tr.samples[resumedAt].Time
	stills := []Sample{{Time: end - 4*90000, Key: true, Data: tr.samples[90].Data}, {Time: end - 2*90000, Key: true, Data: tr.samples[90].Data}}
	for i := 90; i < pausedAt; i++ {
		s := tr.samples[i]
		s.Time = end - media.Ticks(pausedAt-i)
		stills = append(stills, s)
	}
	// What goes on behind depends on what was before: as if the encoder had stood still.
	for i := resumedAt; i < len(tr.samples) && !tr.samples[i].Key; i++ {
		tr.samples[i].Data, sent[i].SampleBytes = tr.samples[i-resumedAt+pausedAt].Data, sent[i-resumedAt+pausedAt].SampleBytes
		sent[i].SHA256, sent[i].Size, sent[i].Key = sent[i-resumedAt+pausedAt].SHA256, len(sent[i].SampleBytes), sent[i-resumedAt+pausedAt].Key
		tr.samples[i].Key = sent[i].Key
	}
	tr.samples = slices.Concat(tr.samples[:pausedAt], stills, tr.samples[resumedAt:])
	tr.last()
	log.Video.Units = slices.Delete(sent, pausedAt, resumedAt)
	f.ledger(media.Video).Gaps = []media.Gap{{Start: 10. / 3, Duration: 153. / 30, Cause: "pause", Filled: true}}
	return log, f
}

// last makes each sample last until the next.
func (tr *fakeTrack) last() {
	for i := range tr.samples[:len(tr.samples)-1] {
		tr.samples[i].Duration = tr.samples[i+1].Time - tr.samples[i].Time
	}
}

// What stands in a filled span is no finding, and everything else is.
func TestCompareFilled(t *testing.T) {
	const still, replay = pausedAt, pausedAt + 2
	for name, tt := range map[string]struct {
		change func(log *load.Log, f *fake)
		want   string
	}{
		"as it should be": {func(*load.Log, *fake) {}, ""},
		"no ledger":       {func(_ *load.Log, f *fake) { f.info = nil }, "video extra (12)"},
		"not called filled": {func(_ *load.Log, f *fake) {
			f.ledger(media.Video).Gaps[0].Filled = false
		}, "video extra (12)"},
		"ledger of the other track": {func(_ *load.Log, f *fake) {
			f.ledger(media.Audio).Gaps, f.ledger(media.Video).Gaps = f.ledger(media.Video).Gaps, nil
		}, "video extra (12)"},
		"ends too soon": {func(_ *load.Log, f *fake) {
			f.ledger(media.Video).Gaps[0].Duration -= 0.5
		}, "video extra (10)"},
		"sent and filled over": {func(_ *load.Log, f *fake) {
			s := f.tracks[0].samples
			f.tracks[0].samples = slices.Delete(s, pausedAt-1, pausedAt)
			f.tracks[0].last()
			f.ledger(media.Video).Gaps[0].Start -= 1. / 30
			f.ledger(media.Video).Gaps[0].Duration += 1. / 30
		}, "video missing (1): #99 "},
		"something else": {func(_ *load.Log, f *fake) {
			s := &f.tracks[0].samples[still]
			s.Data = append(bytes.Clone(s.Data), 0)
		}, "video extra (1)"},
		"not sent yet":         {func(_ *load.Log, f *fake) { f.tracks[0].samples[still].Data = f.tracks[0].samples[130].Data }, "video extra (1)"},
		"still without a mark": {func(_ *load.Log, f *fake) { f.tracks[0].samples[still].Key = false }, "video with a wrong sync mark (1)"},
		"not repeated": {func(_ *load.Log, f *fake) {
			f.tracks[0].samples = slices.Delete(f.tracks[0].samples, replay, replay+10)
			f.tracks[0].last()
		}, "video undecodable (1): #100 "},
		"repeated in part": {func(_ *load.Log, f *fake) {
			f.tracks[0].samples = slices.Delete(f.tracks[0].samples, replay+5, replay+6)
			f.tracks[0].last()
		}, "video undecodable (1): #96 "},
		"later than it was sent": {func(log *load.Log, _ *fake) {
			for i := pausedAt; i < len(log.Video.Units); i++ {
				log.Video.Units[i].Timestamp -= 3 * 90000
			}
		}, ""},
		"later, not filled": {func(log *load.Log, _ *fake) {
			for i := pausedAt - 10; i < len(log.Video.Units); i++ {
				log.Video.Units[i].Timestamp -= 90000
			}
		}, "video steps in time (1): +90000 ticks"},
	} {
		t.Run(name, func(t *testing.T) {
			log, f := paused(t)
			tt.change(log, f)
			report := Compare(log, read(t, f.write(t)), CompareOptions{MaxAV: -1})
			err := report.Err()
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if err == nil && report.Tracks[0].Filled != 12 {
				t.Errorf("%d filled, want 12", report.Tracks[0].Filled)
			}
		})
	}
}

// A picture before the first one may be of a stream of its own, in a Period of its
// own, and silence stands before the first sound.
func TestCompareAbsent(t *testing.T) {
	build := func() (*load.Log, *fake) {
		log := sentLog(t, "h264_high.h264", "opus_stereo.ogg", 8)
		f := record(t, log)
		f.periods = append(f.periods, Period{ID: "p2", Start: 3 * time.Second})
		video, audio := f.tracks[0], f.tracks[1]
		for i := range video.samples {
			video.samples[i].Time += 3 * 90000
			video.samples[i].Period = 1
		}
		neutral := record(t, sentLog(t, "h264_baseline.h264", "", 1)).tracks[0]
		video.neutral = neutral.init
		video.samples = append([]Sample{{Duration: 2 * 90000, Key: true, Data: neutral.samples[0].Data},
			{Time: 2 * 90000, Duration: 90000, Key: true, Data: neutral.samples[0].Data}}, video.samples...)
		for i := range audio.samples {
			audio.samples[i].Time += 3 * 48000
			audio.samples[i].Period = 1
		}
		var silence []Sample
		for i := range 150 {
			silence = append(silence, Sample{Time: media.Ticks(i) * 960, Duration: 960, Key: true, Data: []byte{0xfc}})
		}
		audio.samples = append(silence, audio.samples...)
		f.ledger(media.Video).Gaps = []media.Gap{{Duration: 3, Cause: "absent", Filled: true}}
		f.ledger(media.Audio).Gaps = []media.Gap{{Duration: 3, Cause: "absent", Filled: true}}
		return log, f
	}
	for name, tt := range map[string]struct {
		change func(f *fake)
		want   string
	}{
		"as it should be":    {func(*fake) {}, ""},
		"no ledger":          {func(f *fake) { f.info = nil }, "has a parameter set that was not sent"},
		"noise, not silence": {func(f *fake) { f.tracks[1].samples[7].Data = []byte{0xfc, 1, 2} }, "audio extra (1)"},
		"all in one Period": {func(f *fake) {
			f.ledger(media.Video).Gaps[0].Duration = 2
			f.tracks[0].samples[1].Data = f.tracks[0].samples[2].Data
		}, "video extra (2)"},
	} {
		t.Run(name, func(t *testing.T) {
			log, f := build()
			tt.change(f)
			rec := read(t, f.write(t))
			rec.Problems = nil // the manifest has one codec for both
			err := Compare(log, rec, CompareOptions{}).Err()
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
