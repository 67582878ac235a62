package verify_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
)

// The rules that were measured with players, on recordings of 24 s.
func TestForecasts(t *testing.T) {
	const video, audio = 0, 1
	type shown struct{ picture, sound float64 }
	for name, tt := range map[string]struct {
		change                     func(f *verifytest.Fake)
		all, shaka, dashjs, ffmpeg shown
		note                       string
	}{
		"whole": {func(*verifytest.Fake) {}, shown{24, 24}, shown{24, 24}, shown{24, 24}, shown{24, 24}, ""},
		"two Periods": {func(f *verifytest.Fake) { f.SecondPeriod(10 * time.Second) },
			shown{24, 24}, shown{24, 24}, shown{24, 24}, shown{14, 14}, "ffmpeg reads Period 1 of 2 alone"},
		"a hole between them": {func(f *verifytest.Fake) {
			f.SecondPeriod(10 * time.Second)
			for _, tr := range f.Tracks {
				tr.Without(8*time.Second, 10*time.Second)
			}
		}, shown{22, 22}, shown{22, 22}, shown{22, 22}, shown{14, 14}, ""},
		"no picture at first": {func(f *verifytest.Fake) {
			f.SecondPeriod(8 * time.Second)
			f.Tracks[video].Without(0, 8*time.Second)
		}, shown{16, 24}, shown{0, 24}, shown{0, 0}, shown{16, 16}, "no video at all, for Period 0 has none"},
		"no picture in the end": {func(f *verifytest.Fake) {
			f.SecondPeriod(14 * time.Second)
			f.Tracks[video].Without(14*time.Second, 24*time.Second)
		}, shown{14, 24}, shown{0, 24}, shown{14, 14}, shown{14, 14}, "dash.js stands at 14.000 s: Period 1 has no picture"},
		"no sound at first": {func(f *verifytest.Fake) {
			f.SecondPeriod(8 * time.Second)
			f.Tracks[audio].Without(0, 8*time.Second)
		}, shown{24, 16}, shown{24, 0}, shown{24, 16}, shown{16, 16}, "no audio at all, for Period 0 has none"},
		"picture ends early": {func(f *verifytest.Fake) {
			f.SecondPeriod(10 * time.Second)
			f.Tracks[video].Without(6*time.Second, 10*time.Second)
		}, shown{20, 24}, shown{20, 20}, shown{6, 6}, shown{14, 14}, "dash.js stands at 6.000 s: the picture of Period 0 ends 4.000 s before its sound"},
		"sound begins 3 s late": {func(f *verifytest.Fake) { f.Tracks[audio].Without(0, 3*time.Second) },
			shown{24, 21}, shown{21, 21}, shown{21, 21}, shown{24, 21}, "Shaka Player skips from 0.000 s to 3.000 s"},
		"sound begins 20 s late": {func(f *verifytest.Fake) { f.Tracks[audio].Without(0, 20*time.Second) },
			shown{24, 4}, shown{0, 0}, shown{4, 4}, shown{24, 4}, "Shaka Player stands at the beginning"},
		"a hole of 20 ms": {func(f *verifytest.Fake) { f.Tracks[audio].Later(10*time.Second, 20*time.Millisecond, 0) },
			shown{24, 24}, shown{24, 24}, shown{10, 10}, shown{24, 24}, "dash.js stands at 10.000 s: the SegmentTimeline of a has a hole of 0.020 s"},
		"picture ends a little early": {func(f *verifytest.Fake) {
			f.SecondPeriod(10 * time.Second)
			f.Tracks[video].Without(9500*time.Millisecond, 10*time.Second)
		}, shown{23.5, 24}, shown{23.5, 23.5}, shown{23.5, 23.5}, shown{14, 14}, "skips from 9.500 s to 10.000 s"},
		"a picture of 13 s": {func(f *verifytest.Fake) { cutOut(4*time.Second, 17*time.Second)(f.Tracks[video]) },
			shown{24, 24}, shown{24, 24}, shown{24, 24}, shown{24, 24}, "lasts 13.033 s: Firefox stands still there"},
		"a cut without key frame": {func(f *verifytest.Fake) { f.Tracks[video].Cut = 100 * 3000 },
			shown{24, 24}, shown{24, 24}, shown{24, 24}, shown{24, 24}, "all 1 segments begin without a key frame and cannot be sought to, the first is v_seg_0003.m4s"},
		"a Period without duration": {func(f *verifytest.Fake) { f.SecondPeriod(14 * time.Second); f.Endless = true },
			shown{24, 24}, shown{24, 24}, shown{24, 24}, shown{14, 14}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := verifytest.Record(t, verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 24))
			tt.change(f)
			forecasts := verify.Forecasts(verifytest.Read(t, f.Write(t)))
			var notes []string
			for i, want := range []shown{tt.all, tt.shaka, tt.dashjs, tt.ffmpeg} {
				got := forecasts[i]
				if math.Abs(got.Picture-want.picture) > 0.03 || math.Abs(got.Sound-want.sound) > 0.03 {
					t.Errorf("%+v, want %v", got, want)
				}
				for _, n := range got.Notes {
					notes = append(notes, got.Player+" "+n)
				}
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.note) || name == "whole" && all != "" {
				t.Errorf("notes %q, want %q", all, tt.note)
			}
		})
	}
}

// A change of codec is for every player to know.
func TestForecastChange(t *testing.T) {
	f := verifytest.Record(t, verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 8))
	f.SecondPeriod(4 * time.Second)
	rec := verifytest.Read(t, f.Write(t))
	rec.Tracks[0].Inits = []verify.Init{{Codecs: "vp09.00.10.08", Periods: []int{0}}, {Codecs: "avc1.42C01F", Periods: []int{1}}}
	if notes := verify.Forecasts(rec)[0].Notes; len(notes) != 1 || !strings.HasPrefix(notes[0], "v changes from vp09 to avc1 at 4.000 s") {
		t.Errorf("notes %q", notes)
	}
}
