package verify

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/load"
	"github.com/live777/recorder/internal/media"
)

func TestCompareEqual(t *testing.T) {
	for _, file := range []string{"h264_baseline.h264", "h264_slices.h264", "h264_high.h264", "h265_slices.h265", "av1.ivf", "vp9.ivf", "vp8.ivf"} {
		log := sentLog(t, file, "opus_stereo.ogg", 13) // loops once
		report := Compare(log, read(t, record(t, log).write(t)), CompareOptions{})
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
		if err := Compare(back, read(t, record(t, log).write(t)), CompareOptions{}).Err(); err != nil {
			t.Errorf("%s, exported log: %v", file, err)
		}
	}
}

// from drops what was recorded before a media time and moves it to 0.
func (f *fake) from(start time.Duration) {
	for _, tr := range f.tracks {
		at := media.TicksOf(start, tr.timescale)
		tr.samples = slices.DeleteFunc(tr.samples, func(s Sample) bool { return s.Time < at })
		for i := range tr.samples {
			tr.samples[i].Time -= at
		}
	}
}

// until drops what was recorded from a media time on.
func (f *fake) until(end time.Duration) {
	for _, tr := range f.tracks {
		at := media.TicksOf(end, tr.timescale)
		tr.samples = slices.DeleteFunc(tr.samples, func(s Sample) bool { return s.Time >= at })
	}
}

// A recording of a part of what was sent fits, and only at its right place,
// even though the files loop every ten seconds.
func TestComparePart(t *testing.T) {
	log := sentLog(t, "vp9.ivf", "opus_stereo.ogg", 35)
	f := record(t, log)
	f.until(25 * time.Second)
	f.from(12 * time.Second)
	rec := read(t, f.write(t))
	rec.Start = started.Add(12*time.Second + 300*time.Millisecond)
	report := Compare(log, rec, CompareOptions{TailUnits: -1})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	if v, _ := report.Track(media.Video); v.First != 12*30 || v.Last != 25*30-1 {
		t.Errorf("video is units %d to %d, want %d to %d", v.First, v.Last, 12*30, 25*30-1)
	}
	if err := Compare(log, rec, CompareOptions{}).Err(); err == nil || !strings.Contains(err.Error(), "video missing (") {
		t.Errorf("error %v, want the end missing", err)
	}
}

func TestTailUnits(t *testing.T) {
	log := sentLog(t, "vp9.ivf", "", 3)
	f := record(t, log)
	f.tracks[0].samples = f.tracks[0].samples[:len(f.tracks[0].samples)-1]
	rec := read(t, f.write(t))
	if err := Compare(log, rec, CompareOptions{TailUnits: 1}).Err(); err != nil {
		t.Error(err)
	}
	if err := Compare(log, rec, CompareOptions{}).Err(); err == nil || !strings.Contains(err.Error(), "video missing (1)") {
		t.Errorf("error %v, want one unit missing", err)
	}
}

// retime makes the samples contiguous again after a change of durations.
func retime(samples []Sample) {
	for i := range samples[1:] {
		samples[i+1].Time = samples[i].Time + samples[i].Duration
	}
}

func TestCompareFinds(t *testing.T) {
	const video, audio = 0, 1
	tests := map[string]struct {
		mutate func(f *fake)
		want   []string
		o      CompareOptions
	}{
		"swapped samples": {mutate: func(f *fake) {
			s := f.tracks[video].samples
			s[100].Data, s[101].Data = s[101].Data, s[100].Data
		}, want: []string{"video different (2): #100 ", "#101 "}},
		"changed byte": {mutate: func(f *fake) {
			s := &f.tracks[audio].samples[77]
			s.Data = append([]byte(nil), s.Data...)
			s.Data[len(s.Data)-1] ^= 1
		}, want: []string{"audio different (1): #77 "}},
		"shorter sample": {mutate: func(f *fake) {
			s := &f.tracks[audio].samples[5]
			s.Data = s.Data[:len(s.Data)-1]
		}, want: []string{"audio different (1): #5 "}},
		"first sample damaged": {mutate: func(f *fake) {
			f.tracks[audio].samples[0].Data = []byte{1, 2, 3}
		}, want: []string{"audio different (1): #0 "}},
		"one sample a tick late": {mutate: func(f *fake) {
			s := f.tracks[video].samples
			s[99].Duration++
			s[100].Duration--
			retime(s)
		}, want: []string{"video at a wrong time (1): #100 ", "+1 ticks"}},
		"all samples a tick late": {mutate: func(f *fake) {
			s := f.tracks[video].samples
			s[99].Duration++
			retime(s)
		}, want: []string{"video steps in time (1): +1 ticks at 300001"}},
		"a step too big": {mutate: func(f *fake) {
			s := f.tracks[video].samples
			s[99].Duration += 1801
			retime(s)
		}, want: []string{"video steps in time (1): +1801 ticks"}, o: CompareOptions{MaxStep: 20 * time.Millisecond}},
		"missing unit, bridged": {mutate: func(f *fake) {
			s := f.tracks[video].samples
			s[99].Duration += s[100].Duration
			f.tracks[video].samples = slices.Delete(s, 100, 101)
		}, want: []string{"video missing (1): #100 "}},
		"missing unit, closed up": {mutate: func(f *fake) {
			f.tracks[audio].samples = slices.Delete(f.tracks[audio].samples, 100, 101)
			retime(f.tracks[audio].samples)
		}, want: []string{"audio missing (1): #100 ", "audio steps in time (1): -960 ticks"}},
		"unit twice": {mutate: func(f *fake) {
			s := f.tracks[audio].samples
			f.tracks[audio].samples = slices.Insert(s, 100, s[99])
			retime(f.tracks[audio].samples)
		}, want: []string{"audio extra (1): at 96000 ", "audio steps in time (1): +960 ticks"}},
		"filler": {mutate: func(f *fake) {
			f.tracks[audio].samples[50].Data = []byte{0xf8}
		}, want: []string{"audio missing (1): #50 "}, o: CompareOptions{AllowFillers: true}},
		"sync mark": {mutate: func(f *fake) {
			f.tracks[video].samples[31].Key = true
		}, want: []string{"video with a wrong sync mark (1): #31 "}},
		"audio late": {mutate: func(f *fake) {
			for i := range f.tracks[audio].samples {
				f.tracks[audio].samples[i].Time += 1008 // 21 ms
			}
		}, want: []string{"A/V offset error: first 21.0 ms, worst 21.0 ms"}},
		"audio early at the end": {mutate: func(f *fake) {
			s := f.tracks[audio].samples
			f.tracks[audio].samples = slices.Delete(s, 200, 203)
			retime(f.tracks[audio].samples)
		}, want: []string{"A/V offset error: first 0.0 ms, worst -60.0 ms, last -60.0 ms"}},
		"audio begins late": {mutate: func(f *fake) {
			f.tracks[audio].samples = f.tracks[audio].samples[10:]
		}, want: []string{"audio missing (8): #2 ", "..."}},
		"no audio": {mutate: func(f *fake) {
			f.tracks = f.tracks[:1]
		}, want: []string{"audio: none of the 300 units", "audio missing (300)"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log := sentLog(t, "vp9.ivf", "opus_stereo.ogg", 6)
			f := record(t, log)
			tt.mutate(f)
			err := Compare(log, read(t, f.write(t)), tt.o).Err()
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
	log := sentLog(t, "vp9.ivf", "opus_stereo.ogg", 6)
	log.Video.Units[100].Lost = 1 // and with it all up to the key frame 120
	log.Audio.Units[50].Lost = 1
	f := record(t, log)
	v, a := f.tracks[0].samples, f.tracks[1].samples
	v[99].Duration += v[119].Time + v[119].Duration - v[100].Time
	f.tracks[0].samples = slices.Delete(v, 100, 120)
	a[50].Data = []byte{0xf8}
	a[199].Duration += 96 // a correction of 2 ms
	retime(a)
	rec := read(t, f.write(t))
	report := Compare(log, rec, CompareOptions{AllowLost: true, AllowFillers: true, MaxStep: 20 * time.Millisecond})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	video, _ := report.Track(media.Video)
	audio, _ := report.Track(media.Audio)
	if video.Lost != 20 || audio.Lost != 1 || audio.Fillers != 1 || len(audio.Steps) != 1 || report.AV.Worst != 2*time.Millisecond {
		t.Errorf("lost %d and %d, %d fillers, steps %v, A/V %v", video.Lost, audio.Lost, audio.Fillers, audio.Steps, report.AV.Worst)
	}
	if Compare(log, rec, CompareOptions{}).Err() == nil {
		t.Error("no error where nothing is allowed")
	}
	// A unit whose packets were lost cannot be in the recording, nor what follows.
	whole := read(t, record(t, log).write(t))
	err := Compare(log, whole, CompareOptions{AllowLost: true}).Err()
	if err == nil || !strings.Contains(err.Error(), "video undecodable (20): #100 ") || !strings.Contains(err.Error(), "audio undecodable (1)") {
		t.Errorf("error %v, want undecodable units", err)
	}
}

func TestCompareParameterSets(t *testing.T) {
	log := sentLog(t, "h264_high.h264", "", 2)
	other := sentLog(t, "h264_slices.h264", "", 2)
	f := record(t, log)
	f.tracks[0].init, f.tracks[0].codecs = fakeInit(t, other.Video)
	err := Compare(log, read(t, f.write(t)), CompareOptions{}).Err()
	if err == nil || !strings.Contains(err.Error(), "parameter set that was not sent") {
		t.Errorf("error %v, want the parameter sets", err)
	}
}

// A key frame may have its sets in its sample, and no others.
func TestCompareSetsInSamples(t *testing.T) {
	log := sentLog(t, "h264_high.h264", "", 2)
	other := sentLog(t, "h264_slices.h264", "", 2)
	for _, tc := range []struct {
		sets [][]byte
		want string
	}{{log.Video.ParameterSets, ""}, {other.Video.ParameterSets, "sample 0 has a parameter set that was not sent"}} {
		f := record(t, log)
		first := &f.tracks[0].samples[0]
		var data []byte
		for _, set := range tc.sets {
			data = append(binary.BigEndian.AppendUint32(data, uint32(len(set))), set...)
		}
		first.Data = append(data, first.Data...)
		err := Compare(log, read(t, f.write(t)), CompareOptions{}).Err()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
}

func TestErrIncludesStructure(t *testing.T) {
	log := sentLog(t, "vp9.ivf", "opus_mono.ogg", 5)
	m := record(t, log).write(t)
	delete(m, dir+"/v_seg_0002.m4s")
	err := Compare(log, read(t, m), CompareOptions{}).Err()
	if err == nil || !strings.Contains(err.Error(), "structure (1): v_seg_0002.m4s") || !strings.Contains(err.Error(), "video missing (60): #60 ") {
		t.Errorf("error %v, want the missing segment and its units", err)
	}
}
