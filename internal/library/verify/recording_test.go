package verify_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

func TestReadRecording(t *testing.T) {
	for _, file := range []string{"h264_baseline.h264", "h264_slices.h264", "h264_high.h264", "h265.h265", "h265_slices.h265", "av1.ivf", "vp9.ivf", "vp8.ivf"} {
		for _, dynamic := range []bool{false, true} {
			log := verifytest.SentLog(t, file, "opus_stereo.ogg", 7)
			f := verifytest.Record(t, log)
			f.Dynamic = dynamic
			rec := verifytest.Read(t, f.Write(t))
			for _, p := range rec.Problems {
				t.Errorf("%s: %v", file, p)
			}
			if rec.Dynamic != dynamic || !rec.Start.Equal(verifytest.Started) || len(rec.Tracks) != 2 {
				t.Errorf("%s: dynamic %v, start %v, %d tracks", file, rec.Dynamic, rec.Start, len(rec.Tracks))
			}
			for i, tr := range rec.Tracks {
				want := f.Tracks[i].Samples
				if len(tr.Samples) != len(want) || len(tr.Segments) < 3 || len(tr.Inits) != 1 {
					t.Fatalf("%s %v: %d samples in %d segments, %d init segments; want %d samples",
						file, tr.Kind, len(tr.Samples), len(tr.Segments), len(tr.Inits), len(want))
				}
				for k, s := range tr.Samples {
					if s.Time != want[k].Time || s.Duration != want[k].Duration || s.Key != want[k].Key || !bytes.Equal(s.Data, want[k].Data) {
						t.Fatalf("%s %v sample %d: time %d, duration %d, key %v, %d bytes", file, tr.Kind, k, s.Time, s.Duration, s.Key, len(s.Data))
					}
				}
			}
			if in := rec.Tracks[0].Inits[0]; in.Width != 320 || in.Height != 180 {
				t.Errorf("%s: %d x %d pixels", file, in.Width, in.Height)
			}
		}
	}
}

// TestCheckRecording: what is wrong is found without keeping the media.
func TestCheckRecording(t *testing.T) {
	for _, file := range []string{"h264_slices.h264", "vp8.ivf"} {
		m := verifytest.Record(t, verifytest.SentLog(t, file, "opus_stereo.ogg", 7)).Write(t)
		m[verifytest.Dir+"/below/v_seg_0001.m4s"] = []byte("of another recording")
		for _, damaged := range []bool{false, true} {
			if damaged {
				m[verifytest.Dir+"/a_seg_0002.m4s"] = m[verifytest.Dir+"/a_seg_0001.m4s"]
			}
			want := verifytest.Read(t, m)
			got, err := verify.CheckRecording(t.Context(), m, verifytest.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if damaged == (len(got.Problems) == 0) || !slices.Equal(got.Problems, want.Problems) {
				t.Errorf("%s, damaged %v: problems %v, with the media %v", file, damaged, got.Problems, want.Problems)
			}
			var size int64
			for name, data := range m {
				if strings.HasPrefix(name, verifytest.Dir+"/v_") || strings.HasPrefix(name, verifytest.Dir+"/a_") {
					size += int64(len(data))
				}
			}
			if got.Bytes != size {
				t.Errorf("%s: %d bytes, want %d", file, got.Bytes, size)
			}
			for i, tr := range got.Tracks {
				if len(tr.Samples) > 0 || len(want.Tracks[i].Samples) == 0 || len(tr.Segments) != len(want.Tracks[i].Segments) {
					t.Errorf("%s: %d samples, %d segments", tr.ID, len(tr.Samples), len(tr.Segments))
				}
			}
		}
	}
}

func TestNoManifest(t *testing.T) {
	if _, err := verify.ReadRecording(t.Context(), verifytest.Memory{}, verifytest.Dir); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if _, err := verify.ReadRecording(t.Context(), verifytest.Memory{verifytest.Dir + "/" + verify.ManifestName: []byte("no XML")}, verifytest.Dir); err == nil {
		t.Error("no error for a manifest that is no XML")
	}
}

// Every rule is broken once, and must be found.
func TestProblems(t *testing.T) {
	const manifest = verifytest.Dir + "/" + verify.ManifestName
	// edit replaces text in the manifest, once each.
	edit := func(oldnew ...string) func(t *testing.T, m verifytest.Memory) {
		return func(t *testing.T, m verifytest.Memory) {
			t.Helper()
			text := string(m[manifest])
			for i := 0; i < len(oldnew); i += 2 {
				if !strings.Contains(text, oldnew[i]) {
					t.Fatalf("%q is not in the manifest:\n%s", oldnew[i], text)
				}
				text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
			}
			m[manifest] = []byte(text)
		}
	}
	// patch changes bytes behind the n-th occurrence of a box's type.
	patch := func(name, box string, n, offset int, value ...byte) func(t *testing.T, m verifytest.Memory) {
		return func(t *testing.T, m verifytest.Memory) {
			t.Helper()
			data := bytes.Clone(m[verifytest.Dir+"/"+name])
			at := 0
			for range n {
				i := bytes.Index(data[at:], []byte(box))
				if i < 0 {
					t.Fatalf("%s has fewer than %d boxes %q", name, n, box)
				}
				at += i + 4
			}
			copy(data[at+offset:], value)
			m[verifytest.Dir+"/"+name] = data
		}
	}
	tests := map[string]struct {
		mutate func(t *testing.T, m verifytest.Memory)
		want   string
	}{
		"unknown type":            {edit(`type="static"`, `type="list"`), "neither static nor dynamic"},
		"static that updates":     {edit(`type="static"`, `type="static" minimumUpdatePeriod="PT2S"`), "must not have minimumUpdatePeriod"},
		"static without duration": {edit(` mediaPresentationDuration="PT7`, ` x="PT7`), "must have mediaPresentationDuration"},
		"no buffer time":          {edit(` minBufferTime="PT2S"`, ``), "must have minBufferTime"},
		"dynamic without start":   {edit(`availabilityStartTime="2026-01-02T03:04:05Z" `, ``, `"static"`, `"dynamic"`), "must have availabilityStartTime"},
		"wrong duration":          {edit(` mediaPresentationDuration="PT7`, ` mediaPresentationDuration="PT9`), "is not the end of the last Period"},
		"Period id":               {edit(`<Period id="p1"`, `<Period`), "is empty or used before"},
		"Period offset":           {edit(`presentationTimeOffset="0"`, `presentationTimeOffset="90"`), "presentationTimeOffset 90"},
		"first number":            {edit(`startNumber="1"`, `startNumber="2"`), "startNumber 2"},
		"hole":                    {edit(`<S d="180000"/>`, `<S t="180001" d="180000"/>`), "hole of 1 ticks"},
		"segment time":            {edit(`<S t="0" d="180000"/>`, `<S t="3" d="180000"/>`), "tfdt 0, the manifest says 3"},
		"segment duration":        {edit(`<S d="180000"/>`, `<S d="180001"/>`), "samples last 180000 ticks, the manifest says 180001"},
		"codecs":                  {edit(`codecs="avc1.`, `codecs="avc3.`), "sample entry \"avc1."},
		"timescale":               {edit(`timescale="90000"`, `timescale="1000"`), "timescale 90000, the manifest says 1000"},
		"maximum":                 {edit(`type="static"`, `type="static" maxSegmentDuration="PT1S"`), "longer than maxSegmentDuration"},
		"missing segment":         {func(_ *testing.T, m verifytest.Memory) { delete(m, verifytest.Dir+"/v_seg_0002.m4s") }, "v_seg_0002.m4s: the manifest names it"},
		"missing init":            {func(_ *testing.T, m verifytest.Memory) { delete(m, verifytest.Dir+"/a_init.m4s") }, "a_init.m4s: the manifest names it"},
		"unnamed segment":         {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/v_seg_0099.m4s"] = []byte{} }, "v_seg_0099.m4s: exists"},
		"cut off": {func(_ *testing.T, m verifytest.Memory) {
			data := m[verifytest.Dir+"/v_seg_0002.m4s"]
			m[verifytest.Dir+"/v_seg_0002.m4s"] = data[:len(data)-100]
		}, "v_seg_0002.m4s: cannot be decoded"},
		"no styp": {func(_ *testing.T, m verifytest.Memory) {
			data := m[verifytest.Dir+"/a_seg_0001.m4s"]
			m[verifytest.Dir+"/a_seg_0001.m4s"] = data[binary.BigEndian.Uint32(data):]
		}, "one styp, at its start"},
		"swapped segments": {func(_ *testing.T, m verifytest.Memory) {
			a, b := verifytest.Dir+"/a_seg_0001.m4s", verifytest.Dir+"/a_seg_0002.m4s"
			m[a], m[b] = m[b], m[a]
		}, "sequence number"},
		"unknown box":     {patch("v_seg_0001.m4s", "styp", 1, -4, []byte("xyzw")...), `box "xyzw" is not known`},
		"sequence number": {patch("v_seg_0001.m4s", "mfhd", 2, 4, 0, 0, 0, 1), "sequence number 1 does not rise above 1"},
		"track id":        {patch("v_seg_0001.m4s", "tfhd", 1, 4, 0, 0, 0, 7), "track 7, the init segment has 1"},
		"chunk time":      {patch("v_seg_0001.m4s", "tfdt", 2, 4, 0, 0, 0, 1), "chunk begins at 1, want 45000"},
		"sample size":     {patch("v_seg_0001.m4s", "trun", 1, 16, 0xff), "are left"},
		"NAL length":      {patch("v_seg_0001.m4s", "mdat", 1, 0, 0xff), "not a sequence of NAL units"},
		"data offset":     {patch("v_seg_0001.m4s", "trun", 1, 11, 1), "data offset points to byte"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := verifytest.Record(t, verifytest.SentLog(t, "h264_baseline.h264", "opus_mono.ogg", 7)).Write(t)
			tt.mutate(t, m)
			rec := verifytest.Read(t, m)
			var all []string
			for _, p := range rec.Problems {
				all = append(all, p.String())
			}
			if !strings.Contains(strings.Join(all, "\n"), tt.want) {
				t.Errorf("problems %q, want one with %q", all, tt.want)
			}
		})
	}
}

// What a sample entry promises of the samples is broken once, and must be found.
func TestSampleProblems(t *testing.T) {
	header := func(f *verifytest.Fake) []byte { return f.Tracks[0].Samples[0].Data[:13] } // the sequence header of av1.ivf
	tests := map[string]struct {
		file   string
		change func(f *verifytest.Fake, first, second *verify.Sample)
		want   string
	}{
		"H265 key":    {"h265.h265", func(_ *verifytest.Fake, first, second *verify.Sample) { first.Data = second.Data }, "no IRAP picture"},
		"H265 codecs": {"h265.h265", func(f *verifytest.Fake, _, _ *verify.Sample) { f.Tracks[0].Codecs = "hvc1.1.6.L93.90" }, `sample entry "hvc1.1.6.L60.90"`},
		"H265 arrays": {"h265.h265", func(f *verifytest.Fake, _, _ *verify.Sample) {
			i := bytes.Index(f.Tracks[0].Init, []byte("hvcC"))
			f.Tracks[0].Init[i+4+23] &^= 0x80
		}, "no complete array of VPS"},
		"AV1 temporal delimiter": {"av1.ivf", func(_ *verifytest.Fake, first, _ *verify.Sample) {
			first.Data = append([]byte{0x12, 0}, first.Data...)
		}, "TemporalDelimiter"},
		"AV1 without size": {"av1.ivf", func(_ *verifytest.Fake, _, second *verify.Sample) { second.Data = []byte{0x30, 0x30} }, "OBU without a size"},
		"AV1 cut off":      {"av1.ivf", func(_ *verifytest.Fake, _, second *verify.Sample) { second.Data = second.Data[:5] }, "not a sequence of OBUs"},
		"AV1 key without header": {"av1.ivf", func(f *verifytest.Fake, first, _ *verify.Sample) {
			first.Data = first.Data[len(header(f)):]
		}, "does not begin with a sequence header and a key frame"},
		"AV1 key": {"av1.ivf", func(f *verifytest.Fake, first, second *verify.Sample) {
			first.Data = append(bytes.Clone(header(f)), second.Data...)
		}, "does not begin with a sequence header and a key frame"},
		"AV1 other header": {"av1.ivf", func(f *verifytest.Fake, _, second *verify.Sample) {
			other := bytes.Clone(header(f))
			other[5] ^= 1
			second.Data = append(other, second.Data...)
		}, "another sequence header"},
		"AV1 without frame": {"av1.ivf", func(f *verifytest.Fake, _, second *verify.Sample) { second.Data = header(f) }, "has no frame"},
		"AV1 codecs":        {"av1.ivf", func(f *verifytest.Fake, _, _ *verify.Sample) { f.Tracks[0].Codecs = "av01.0.04M.08" }, `sample entry "av01.0.00M.08"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := verifytest.Record(t, verifytest.SentLog(t, tt.file, "", 3))
			tt.change(f, &f.Tracks[0].Samples[0], &f.Tracks[0].Samples[1])
			rec := verifytest.Read(t, f.Write(t))
			if len(rec.Problems) != 1 || !strings.Contains(rec.Problems[0].String(), tt.want) {
				t.Errorf("problems %v, want one with %q", rec.Problems, tt.want)
			}
		})
	}
}

func TestNoSyncSample(t *testing.T) {
	f := verifytest.Record(t, verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 7))
	f.Tracks[0].Samples[0].Key = false
	f.Tracks[1].Samples[7].Key = false
	rec := verifytest.Read(t, f.Write(t))
	want := []string{"is a key frame and not marked", "does not start with a sync sample", "audio sample 7 is not marked"}
	if len(rec.Problems) != len(want) {
		t.Fatalf("problems %v, want %q", rec.Problems, want)
	}
	for i, w := range want {
		if !strings.Contains(rec.Problems[i].What, w) {
			t.Errorf("problem %q, want %q", rec.Problems[i], w)
		}
	}
}

// A sender that never sends a key frame again makes segments that begin without:
// players cannot seek there, and that is all.
func TestCutWithoutKeyFrame(t *testing.T) {
	f := verifytest.Record(t, verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 7))
	f.Tracks[0].Cut = 100 * 3000
	rec := verifytest.Read(t, f.Write(t))
	if len(rec.Problems) != 0 || len(rec.Tracks[0].Segments) != 4 {
		t.Errorf("%d segments with problems %v, want 4 without", len(rec.Tracks[0].Segments), rec.Problems)
	}
}

// reorder makes a recording of what a sender would send with B-frames: each second
// frame is shown before the one that was sent before it.
func reorder(log *load.Log, f *verifytest.Fake) {
	units, samples := log.Video.Units, f.Tracks[0].Samples
	for i := 1; i+1 < len(units); i += 2 {
		if units[i].Key || units[i+1].Key {
			i--
			continue
		}
		u, v := &units[i], &units[i+1]
		u.Timestamp, v.Timestamp, u.NTP, v.NTP = v.Timestamp, u.Timestamp, v.NTP, u.NTP
		samples[i].Composition, samples[i+1].Composition = 3000, -3000
	}
}

// What is shown in another order than it is decoded in must be shown when it was sent.
func TestReordered(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(s []verify.Sample)
		problem string
		differs string
	}{
		"as sent":                {func([]verify.Sample) {}, "", ""},
		"in the order of coding": {func(s []verify.Sample) { s[101].Composition, s[102].Composition = 0, 0 }, "", "video at a wrong time"},
		"two at a time":          {func(s []verify.Sample) { s[101].Composition = 0 }, "two samples that are shown at 303000", "video at a wrong time (1): #101 "},
		"late from the start": {func(s []verify.Sample) {
			for i := range s {
				s[i].Composition += 9000
			}
		}, "is shown from 9000 on, the manifest says 0", ""},
		"into the next segment": {func(s []verify.Sample) { s[58].Composition += 9000 }, "is shown at", "video at a wrong time (1): #58 "},
		"before its segment":    {func(s []verify.Sample) { s[61].Composition -= 7000 }, "is shown at 179000, before its segment begins", "#61 "},
	} {
		t.Run(name, func(t *testing.T) {
			log := verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 7)
			f := verifytest.Record(t, log)
			reorder(log, f)
			tt.change(f.Tracks[0].Samples)
			rec := verifytest.Read(t, f.Write(t))
			var all []string
			for _, p := range rec.Problems {
				all = append(all, p.String())
			}
			if (len(all) > 0) != (tt.problem != "") || !strings.Contains(strings.Join(all, "\n"), tt.problem) {
				t.Errorf("problems %q, want %q", all, tt.problem)
			}
			rec.Problems = nil
			err := compare.Recording(log, rec, compare.Options{MaxAV: -1}).Err()
			if (err != nil) != (tt.differs != "") || err != nil && !strings.Contains(err.Error(), tt.differs) {
				t.Errorf("error %v, want one with %q", err, tt.differs)
			}
		})
	}
}

// Two Periods: numbers, sequence numbers and media time go on.
func TestPeriods(t *testing.T) {
	f := verifytest.Record(t, verifytest.SentLog(t, "vp9.ivf", "opus_mono.ogg", 8))
	f.Periods = append(f.Periods, verify.Period{ID: "p2", Start: 4 * time.Second})
	for _, tr := range f.Tracks {
		for i := range tr.Samples {
			if tr.Samples[i].Time >= media.TicksOf(4*time.Second, tr.Timescale) {
				tr.Samples[i].Period = 1
			}
		}
	}
	m := f.Write(t)
	rec := verifytest.Read(t, m)
	if len(rec.Problems) != 0 || len(rec.Periods) != 2 {
		t.Errorf("%d Periods with problems %v", len(rec.Periods), rec.Problems)
	}
	part := rec.InPeriods(1, 1)
	if s := part.Tracks[0].Samples; len(s) != 120 || s[0].Time != 360000 {
		t.Errorf("%d video samples in the second Period, first at %d", len(s), s[0].Time)
	}
	if len(part.Tracks[0].Inits) != 1 || len(rec.InPeriods(2, 2).Tracks) != 0 {
		t.Errorf("init segments %+v in the second Period, want the one that both use", part.Tracks[0].Inits)
	}
	rec.Tracks[0].Inits[0].Periods = []int{0}
	if inits := rec.InPeriods(1, 1).Tracks[0].Inits; len(inits) != 0 {
		t.Errorf("init segments of another Period: %+v", inits)
	}
	// The second Period begins again with number 1, or before the first ends.
	text := string(m[verifytest.Dir+"/"+verify.ManifestName])
	for replacement, want := range map[string]string{`startNumber="1"`: "startNumber 1, want 3", `id="p1"`: "used before"} {
		i := strings.LastIndex(text, "<Period")
		old := map[string]string{`startNumber="1"`: `startNumber="3"`, `id="p1"`: `id="p2"`}[replacement]
		m[verifytest.Dir+"/"+verify.ManifestName] = []byte(text[:i] + strings.Replace(text[i:], old, replacement, 1))
		if rec := verifytest.Read(t, m); len(rec.Problems) == 0 || !strings.Contains(rec.Problems[0].String(), want) {
			t.Errorf("problems %v, want %q", rec.Problems, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	log := verifytest.SentLog(f, "vp9.ivf", "opus_mono.ogg", 1)
	m := verifytest.Record(f, log).Write(f)
	f.Add(m[verifytest.Dir+"/v_init.m4s"], m[verifytest.Dir+"/v_seg_0001.m4s"][:3000])
	f.Add(m[verifytest.Dir+"/a_init.m4s"], m[verifytest.Dir+"/a_seg_0001.m4s"])
	for _, file := range []string{"h265.h265", "av1.ivf"} {
		m := verifytest.Record(f, verifytest.SentLog(f, file, "", 1)).Write(f)
		f.Add(m[verifytest.Dir+"/v_init.m4s"], m[verifytest.Dir+"/v_seg_0001.m4s"][:3000])
	}
	manifest := m[verifytest.Dir+"/"+verify.ManifestName]
	f.Fuzz(func(t *testing.T, in, seg []byte) {
		m := verifytest.Memory{
			verifytest.Dir + "/" + verify.ManifestName: manifest, verifytest.Dir + "/v_init.m4s": in, verifytest.Dir + "/v_seg_0001.m4s": seg,
			verifytest.Dir + "/a_init.m4s": in, verifytest.Dir + "/a_seg_0001.m4s": seg,
		}
		rec, err := verify.ReadRecording(t.Context(), m, verifytest.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range rec.Tracks {
			if len(tr.Samples) > len(seg) {
				t.Errorf("%d samples in %d bytes", len(tr.Samples), len(seg))
			}
		}
	})
}

func FuzzLedger(f *testing.F) {
	w := newWhole(f, "vp9.ivf")
	w.count(f)
	m := w.fake.Write(f)
	f.Add(m[verifytest.Dir+"/"+media.InfoName])
	f.Fuzz(func(t *testing.T, info []byte) {
		other := maps.Clone(m)
		other[verifytest.Dir+"/"+media.InfoName] = info
		rec, err := verify.CheckRecording(t.Context(), other, verifytest.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if verify.Audit(rec); len(rec.Problems) > 0 {
			t.Errorf("problems %v of the files, of which nothing changed", rec.Problems)
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := verifytest.Record(f, verifytest.SentLog(f, "vp9.ivf", "opus_mono.ogg", 3)).Write(f)
	f.Add(m[verifytest.Dir+"/"+verify.ManifestName])
	f.Fuzz(func(t *testing.T, text []byte) {
		part := verifytest.Memory{verifytest.Dir + "/" + verify.ManifestName: text}
		rec, err := verify.ReadRecording(t.Context(), part, verifytest.Dir)
		if err != nil {
			return
		}
		verify.Audit(rec)
		if n := len(verify.Forecasts(rec)); n != 4 {
			t.Errorf("%d forecasts", n)
		}
		for _, tr := range rec.Tracks {
			if len(tr.Segments) > 0 && len(rec.Problems) == 0 {
				t.Error("no segment exists, and that is no problem")
			}
		}
	})
}
