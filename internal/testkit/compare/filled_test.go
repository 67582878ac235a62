package compare_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// pausedAt and resumedAt are the units of vp9.ivf between which the camera of
// paused was off; it has a key frame every 30.
const pausedAt, resumedAt = 100, 253

// paused returns the log of a sender whose camera was off, and its recording as
// it should be: the last picture lasts, a copy of its key frame begins what a
// segment would, and before the pictures go on, those since the key frame are
// repeated, a tick each.
func paused(t testing.TB) (*load.Log, *verifytest.Fake) {
	t.Helper()
	log := verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 13)
	f := verifytest.Record(t, log)
	tr, sent := f.Tracks[0], log.Video.Units
	end := tr.Samples[resumedAt].Time
	stills := []verify.Sample{{Time: end - 4*90000, Key: true, Data: tr.Samples[90].Data}, {Time: end - 2*90000, Key: true, Data: tr.Samples[90].Data}}
	for i := 90; i < pausedAt; i++ {
		s := tr.Samples[i]
		s.Time = end - media.Ticks(pausedAt-i)
		stills = append(stills, s)
	}
	// What goes on behind depends on what was before: as if the encoder had stood still.
	for i := resumedAt; i < len(tr.Samples) && !tr.Samples[i].Key; i++ {
		tr.Samples[i].Data, sent[i].SampleBytes = tr.Samples[i-resumedAt+pausedAt].Data, sent[i-resumedAt+pausedAt].SampleBytes
		sent[i].SHA256, sent[i].Size, sent[i].Key = sent[i-resumedAt+pausedAt].SHA256, len(sent[i].SampleBytes), sent[i-resumedAt+pausedAt].Key
		tr.Samples[i].Key = sent[i].Key
	}
	tr.Samples = slices.Concat(tr.Samples[:pausedAt], stills, tr.Samples[resumedAt:])
	tr.Last()
	log.Video.Units = slices.Delete(sent, pausedAt, resumedAt)
	f.Ledger(media.Video).Gaps = []media.Gap{{Start: 10. / 3, Duration: 153. / 30, Cause: "pause", Filled: true}}
	return log, f
}

// What stands in a filled span is no finding, and everything else is.
func TestCompareFilled(t *testing.T) {
	const still, replay = pausedAt, pausedAt + 2
	for name, tt := range map[string]struct {
		change func(log *load.Log, f *verifytest.Fake)
		want   string
	}{
		"as it should be": {func(*load.Log, *verifytest.Fake) {}, ""},
		"no ledger":       {func(_ *load.Log, f *verifytest.Fake) { f.Info = nil }, "video extra (12)"},
		"not called filled": {func(_ *load.Log, f *verifytest.Fake) {
			f.Ledger(media.Video).Gaps[0].Filled = false
		}, "video extra (12)"},
		"ledger of the other track": {func(_ *load.Log, f *verifytest.Fake) {
			f.Ledger(media.Audio).Gaps, f.Ledger(media.Video).Gaps = f.Ledger(media.Video).Gaps, nil
		}, "video extra (12)"},
		"ends too soon": {func(_ *load.Log, f *verifytest.Fake) {
			f.Ledger(media.Video).Gaps[0].Duration -= 0.5
		}, "video extra (10)"},
		"sent and filled over": {func(_ *load.Log, f *verifytest.Fake) {
			s := f.Tracks[0].Samples
			f.Tracks[0].Samples = slices.Delete(s, pausedAt-1, pausedAt)
			f.Tracks[0].Last()
			f.Ledger(media.Video).Gaps[0].Start -= 1. / 30
			f.Ledger(media.Video).Gaps[0].Duration += 1. / 30
		}, "video missing (1): #99 "},
		"something else": {func(_ *load.Log, f *verifytest.Fake) {
			s := &f.Tracks[0].Samples[still]
			s.Data = append(bytes.Clone(s.Data), 0)
		}, "video extra (1)"},
		"not sent yet":         {func(_ *load.Log, f *verifytest.Fake) { f.Tracks[0].Samples[still].Data = f.Tracks[0].Samples[130].Data }, "video extra (1)"},
		"still without a mark": {func(_ *load.Log, f *verifytest.Fake) { f.Tracks[0].Samples[still].Key = false }, "video with a wrong sync mark (1)"},
		"not repeated": {func(_ *load.Log, f *verifytest.Fake) {
			f.Tracks[0].Samples = slices.Delete(f.Tracks[0].Samples, replay, replay+10)
			f.Tracks[0].Last()
		}, "video undecodable (1): #100 "},
		"repeated in part": {func(_ *load.Log, f *verifytest.Fake) {
			f.Tracks[0].Samples = slices.Delete(f.Tracks[0].Samples, replay+5, replay+6)
			f.Tracks[0].Last()
		}, "video undecodable (1): #96 "},
		"later than it was sent": {func(log *load.Log, _ *verifytest.Fake) {
			for i := pausedAt; i < len(log.Video.Units); i++ {
				log.Video.Units[i].Timestamp -= 3 * 90000
			}
		}, ""},
		"later, not filled": {func(log *load.Log, _ *verifytest.Fake) {
			for i := pausedAt - 10; i < len(log.Video.Units); i++ {
				log.Video.Units[i].Timestamp -= 90000
			}
		}, "video steps in time (1): +90000 ticks"},
	} {
		t.Run(name, func(t *testing.T) {
			log, f := paused(t)
			tt.change(log, f)
			report := compare.Recording(log, verifytest.Read(t, f.Write(t)), compare.Options{MaxAV: -1})
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
	build := func() (*load.Log, *verifytest.Fake) {
		log := verifytest.SentLog(t, "h264_high.h264", "opus_stereo.ogg", 8)
		f := verifytest.Record(t, log)
		f.Periods = append(f.Periods, verify.Period{ID: "p2", Start: 3 * time.Second})
		video, audio := f.Tracks[0], f.Tracks[1]
		for i := range video.Samples {
			video.Samples[i].Time += 3 * 90000
			video.Samples[i].Period = 1
		}
		neutral := verifytest.Record(t, verifytest.SentLog(t, "h264_baseline.h264", "", 1)).Tracks[0]
		video.Neutral = neutral.Init
		video.Samples = append([]verify.Sample{{Duration: 2 * 90000, Key: true, Data: neutral.Samples[0].Data},
			{Time: 2 * 90000, Duration: 90000, Key: true, Data: neutral.Samples[0].Data}}, video.Samples...)
		for i := range audio.Samples {
			audio.Samples[i].Time += 3 * 48000
			audio.Samples[i].Period = 1
		}
		var silence []verify.Sample
		for i := range 150 {
			silence = append(silence, verify.Sample{Time: media.Ticks(i) * 960, Duration: 960, Key: true, Data: []byte{0xfc}})
		}
		audio.Samples = append(silence, audio.Samples...)
		f.Ledger(media.Video).Gaps = []media.Gap{{Duration: 3, Cause: "absent", Filled: true}}
		f.Ledger(media.Audio).Gaps = []media.Gap{{Duration: 3, Cause: "absent", Filled: true}}
		return log, f
	}
	for name, tt := range map[string]struct {
		change func(f *verifytest.Fake)
		want   string
	}{
		"as it should be":    {func(*verifytest.Fake) {}, ""},
		"no ledger":          {func(f *verifytest.Fake) { f.Info = nil }, "has a parameter set that was not sent"},
		"noise, not silence": {func(f *verifytest.Fake) { f.Tracks[1].Samples[7].Data = []byte{0xfc, 1, 2} }, "audio extra (1)"},
		"all in one Period": {func(f *verifytest.Fake) {
			f.Ledger(media.Video).Gaps[0].Duration = 2
			f.Tracks[0].Samples[1].Data = f.Tracks[0].Samples[2].Data
		}, "video extra (2)"},
	} {
		t.Run(name, func(t *testing.T) {
			log, f := build()
			tt.change(f)
			rec := verifytest.Read(t, f.Write(t))
			rec.Problems = nil // the manifest has one codec for both
			err := compare.Recording(log, rec, compare.Options{}).Err()
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
