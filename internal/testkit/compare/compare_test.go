package compare_test

import (
	"bytes"
	"encoding/binary"
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

func TestCompareEqual(t *testing.T) {
	for _, file := range []string{"h264_baseline.h264", "h264_slices.h264", "h264_high.h264", "h265_slices.h265", "av1.ivf", "vp9.ivf", "vp8.ivf"} {
		log := verifytest.SentLog(t, file, "opus_stereo.ogg", 13) // loops once
		report := compare.Recording(log, verifytest.Read(t, verifytest.Record(t, log).Write(t)), compare.Options{})
		if err := report.Err(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, tr := range report.Tracks {
			if tr.Matched != tr.Sent || tr.First != 0 || tr.Last != tr.Sent-1 {
				t.Errorf("%s %v: %d of %d matched, %d to %d", file, tr.Kind, tr.Matched, tr.Sent, tr.First, tr.Last)
			}
		}
		rounding := time.Duration(0)
		if file == "vp8.ivf" { // WebM has milliseconds
			rounding = time.Millisecond / 2
		}
		if !report.AV.Known || report.AV.Worst.Abs() > rounding {
			t.Errorf("%s: A/V %+v, want no error", file, report.AV)
		}
		// The log as another process reads it, without the bytes.
		var b bytes.Buffer
		if err := log.Export(&b); err != nil {
			t.Fatal(err)
		}
		back, err := load.ReadLog(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare.Recording(back, verifytest.Read(t, verifytest.Record(t, log).Write(t)), compare.Options{}).Err(); err != nil {
			t.Errorf("%s, exported log: %v", file, err)
		}
	}
}

// A recording of a part of what was sent fits, and only at its right place,
// even though the files loop every ten seconds.
func TestComparePart(t *testing.T) {
	log := verifytest.SentLog(t, "vp9.ivf", "opus_stereo.ogg", 35)
	f := verifytest.Record(t, log)
	f.Until(25 * time.Second)
	f.From(12 * time.Second)
	rec := verifytest.Read(t, f.Write(t))
	rec.Start = verifytest.Started.Add(12*time.Second + 300*time.Millisecond)
	report := compare.Recording(log, rec, compare.Options{TailUnits: -1})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	if v, _ := report.Track(media.Video); v.First != 12*30 || v.Last != 25*30-1 {
		t.Errorf("video is units %d to %d, want %d to %d", v.First, v.Last, 12*30, 25*30-1)
	}
	if err := compare.Recording(log, rec, compare.Options{}).Err(); err == nil || !strings.Contains(err.Error(), "video missing (") {
		t.Errorf("error %v, want the end missing", err)
	}
}

func TestTailUnits(t *testing.T) {
	log := verifytest.SentLog(t, "vp9.ivf", "", 3)
	f := verifytest.Record(t, log)
	f.Tracks[0].Samples = f.Tracks[0].Samples[:len(f.Tracks[0].Samples)-1]
	rec := verifytest.Read(t, f.Write(t))
	if err := compare.Recording(log, rec, compare.Options{TailUnits: 1}).Err(); err != nil {
		t.Error(err)
	}
	if err := compare.Recording(log, rec, compare.Options{}).Err(); err == nil || !strings.Contains(err.Error(), "video missing (1)") {
		t.Errorf("error %v, want one unit missing", err)
	}
}

// retime makes the samples contiguous again after a change of durations.
func retime(samples []verify.Sample) {
	for i := range samples[1:] {
		samples[i+1].Time = samples[i].Time + samples[i].Duration
	}
}

func TestCompareFinds(t *testing.T) {
	const video, audio = 0, 1
	tests := map[string]struct {
		mutate func(f *verifytest.Fake)
		want   []string
		o      compare.Options
	}{
		"swapped samples": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[video].Samples
			s[100].Data, s[101].Data = s[101].Data, s[100].Data
		}, want: []string{"video different (2): #100 ", "#101 "}},
		"changed byte": {mutate: func(f *verifytest.Fake) {
			s := &f.Tracks[audio].Samples[77]
			s.Data = append([]byte(nil), s.Data...)
			s.Data[len(s.Data)-1] ^= 1
		}, want: []string{"audio different (1): #77 "}},
		"shorter sample": {mutate: func(f *verifytest.Fake) {
			s := &f.Tracks[audio].Samples[5]
			s.Data = s.Data[:len(s.Data)-1]
		}, want: []string{"audio different (1): #5 "}},
		"first sample damaged": {mutate: func(f *verifytest.Fake) {
			f.Tracks[audio].Samples[0].Data = []byte{1, 2, 3}
		}, want: []string{"audio different (1): #0 "}},
		"one sample a tick late": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[video].Samples
			s[99].Duration++
			s[100].Duration--
			retime(s)
		}, want: []string{"video at a wrong time (1): #100 ", "+1 ticks"}},
		"all samples a tick late": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[video].Samples
			s[99].Duration++
			retime(s)
		}, want: []string{"video steps in time (1): +1 ticks at 300001"}},
		"a step too big": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[video].Samples
			s[99].Duration += 1801
			retime(s)
		}, want: []string{"video steps in time (1): +1801 ticks"}, o: compare.Options{MaxStep: 20 * time.Millisecond}},
		"missing unit, bridged": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[video].Samples
			s[99].Duration += s[100].Duration
			f.Tracks[video].Samples = slices.Delete(s, 100, 101)
		}, want: []string{"video missing (1): #100 "}},
		"missing unit, closed up": {mutate: func(f *verifytest.Fake) {
			f.Tracks[audio].Samples = slices.Delete(f.Tracks[audio].Samples, 100, 101)
			retime(f.Tracks[audio].Samples)
		}, want: []string{"audio missing (1): #100 ", "audio steps in time (1): -960 ticks"}},
		"unit twice": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[audio].Samples
			f.Tracks[audio].Samples = slices.Insert(s, 100, s[99])
			retime(f.Tracks[audio].Samples)
		}, want: []string{"audio extra (1): at 96000 ", "audio steps in time (1): +960 ticks"}},
		"filler": {mutate: func(f *verifytest.Fake) {
			f.Tracks[audio].Samples[50].Data = []byte{0xf8}
		}, want: []string{"audio missing (1): #50 "}, o: compare.Options{AllowFillers: true}},
		"sync mark": {mutate: func(f *verifytest.Fake) {
			f.Tracks[video].Samples[31].Key = true
		}, want: []string{"video with a wrong sync mark (1): #31 "}},
		"audio late": {mutate: func(f *verifytest.Fake) {
			for i := range f.Tracks[audio].Samples {
				f.Tracks[audio].Samples[i].Time += 1008 // 21 ms
			}
		}, want: []string{"A/V offset error: first 21.0 ms, worst 21.0 ms"}},
		"audio early at the end": {mutate: func(f *verifytest.Fake) {
			s := f.Tracks[audio].Samples
			f.Tracks[audio].Samples = slices.Delete(s, 200, 203)
			retime(f.Tracks[audio].Samples)
		}, want: []string{"A/V offset error: first 0.0 ms, worst -60.0 ms, last -60.0 ms"}},
		"audio begins late": {mutate: func(f *verifytest.Fake) {
			f.Tracks[audio].Samples = f.Tracks[audio].Samples[10:]
		}, want: []string{"audio missing (8): #2 ", "..."}},
		"no audio": {mutate: func(f *verifytest.Fake) {
			f.Tracks = f.Tracks[:1]
		}, want: []string{"audio: none of the 300 units", "audio missing (300)"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log := verifytest.SentLog(t, "vp9.ivf", "opus_stereo.ogg", 6)
			f := verifytest.Record(t, log)
			tt.mutate(f)
			err := compare.Recording(log, verifytest.Read(t, f.Write(t)), tt.o).Err()
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v\nwant one with %q", err, want)
				}
			}
		})
	}
}

// What is a fault in one comparison can be allowed in another.
func TestCompareAllows(t *testing.T) {
	log := verifytest.SentLog(t, "vp9.ivf", "opus_stereo.ogg", 6)
	log.Video.Units[100].Lost = 1 // and with it all up to the key frame 120
	log.Audio.Units[50].Lost = 1
	f := verifytest.Record(t, log)
	v, a := f.Tracks[0].Samples, f.Tracks[1].Samples
	v[99].Duration += v[119].Time + v[119].Duration - v[100].Time
	f.Tracks[0].Samples = slices.Delete(v, 100, 120)
	a[50].Data = []byte{0xf8}
	a[199].Duration += 96 // a correction of 2 ms
	retime(a)
	rec := verifytest.Read(t, f.Write(t))
	report := compare.Recording(log, rec, compare.Options{AllowLost: true, AllowFillers: true, MaxStep: 20 * time.Millisecond})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	video, _ := report.Track(media.Video)
	audio, _ := report.Track(media.Audio)
	if video.Lost != 20 || audio.Lost != 1 || audio.Fillers != 1 || len(audio.Steps) != 1 || report.AV.Worst != 2*time.Millisecond {
		t.Errorf("lost %d and %d, %d fillers, steps %v, A/V %v", video.Lost, audio.Lost, audio.Fillers, audio.Steps, report.AV.Worst)
	}
	if compare.Recording(log, rec, compare.Options{}).Err() == nil {
		t.Error("no error where nothing is allowed")
	}
	// A unit whose packets were lost cannot be in the recording, nor what follows.
	whole := verifytest.Read(t, verifytest.Record(t, log).Write(t))
	err := compare.Recording(log, whole, compare.Options{AllowLost: true}).Err()
	if err == nil || !strings.Contains(err.Error(), "video undecodable (20): #100 ") || !strings.Contains(err.Error(), "audio undecodable (1)") {
		t.Errorf("error %v, want undecodable units", err)
	}
}

func TestCompareParameterSets(t *testing.T) {
	log := verifytest.SentLog(t, "h264_high.h264", "", 2)
	other := verifytest.SentLog(t, "h264_slices.h264", "", 2)
	f := verifytest.Record(t, log)
	f.Tracks[0].Init, f.Tracks[0].Codecs = verifytest.Init(t, other.Video)
	err := compare.Recording(log, verifytest.Read(t, f.Write(t)), compare.Options{}).Err()
	if err == nil || !strings.Contains(err.Error(), "parameter set that was not sent") {
		t.Errorf("error %v, want the parameter sets", err)
	}
}

// A key frame may have its sets in its sample, and no others.
func TestCompareSetsInSamples(t *testing.T) {
	log := verifytest.SentLog(t, "h264_high.h264", "", 2)
	other := verifytest.SentLog(t, "h264_slices.h264", "", 2)
	for _, tc := range []struct {
		sets [][]byte
		want string
	}{{log.Video.ParameterSets, ""}, {other.Video.ParameterSets, "sample 0 has a parameter set that was not sent"}} {
		f := verifytest.Record(t, log)
		first := &f.Tracks[0].Samples[0]
		var data []byte
		for _, set := range tc.sets {
			data = append(binary.BigEndian.AppendUint32(data, uint32(len(set))), set...)
		}
		first.Data = append(data, first.Data...)
		err := compare.Recording(log, verifytest.Read(t, f.Write(t)), compare.Options{}).Err()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
}

func TestErrIncludesStructure(t *testing.T) {
	log := verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 5)
	m := verifytest.Record(t, log).Write(t)
	delete(m, verifytest.Dir+"/v_seg_0002.m4s")
	err := compare.Recording(log, verifytest.Read(t, m), compare.Options{}).Err()
	if err == nil || !strings.Contains(err.Error(), "structure (1): v_seg_0002.m4s") || !strings.Contains(err.Error(), "video missing (60): #60 ") {
		t.Errorf("error %v, want the missing segment and its units", err)
	}
}

// What the container rounds is accepted, and nothing more.
func TestCompareRounded(t *testing.T) {
	shift := func(first, last int, d media.Ticks) func(s []verify.Sample) {
		return func(s []verify.Sample) {
			for i := first; i < last; i++ {
				s[i].Time += d
			}
			for i := range s[:len(s)-1] {
				s[i].Duration = s[i+1].Time - s[i].Time
			}
		}
	}
	for name, tc := range map[string]struct {
		mutate func(s []verify.Sample)
		want   string
	}{
		"rounded":                 {func([]verify.Sample) {}, ""},
		"all later":               {shift(0, 210, 90), ""}, // the offset is not known
		"one a millisecond later": {shift(100, 101, 90), "video at a wrong time (1): #100 "},
		"one earlier":             {shift(100, 101, -90), "video at a wrong time (1): #100 "},
		"a step":                  {shift(100, 210, 90), "video steps in time (1): +"},
		"a step back":             {shift(100, 210, -90), "video steps in time (1): -"},
		"drift": {func(s []verify.Sample) {
			for i := 40; i < 200; i += 40 {
				shift(i, len(s), 90)(s)
			}
		}, "video steps in time ("},
	} {
		t.Run(name, func(t *testing.T) {
			log := verifytest.SentLog(t, "vp8.ivf", "opus_mono.ogg", 7)
			// A clock that is not in step with milliseconds: every rounding occurs.
			for i := range log.Video.Units {
				u := &log.Video.Units[i]
				u.Timestamp += int64(i)
				u.RTP += uint32(i)
			}
			f := verifytest.Record(t, log)
			tc.mutate(f.Tracks[0].Samples)
			err := compare.Recording(log, verifytest.Read(t, f.Write(t)), compare.Options{}).Err()
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}
