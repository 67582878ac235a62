package verify

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"github.com/live777/recorder/internal/media"
)

// msTicks is a millisecond of a 90 kHz clock.
const msTicks = 90

// roundTimes moves the samples to whole milliseconds.
func (tr *fakeTrack) roundTimes() {
	s := tr.samples
	for i := range s {
		end := s[i].Time + s[i].Duration
		s[i].Time = (s[i].Time + msTicks/2) / msTicks * msTicks
		s[i].Duration = (end+msTicks/2)/msTicks*msTicks - s[i].Time
	}
}

func fakeWebMInit(t testing.TB) []byte {
	t.Helper()
	var d struct {
		Header  webm.EBMLHeader `ebml:"EBML"`
		Segment struct {
			Info   webm.Info   `ebml:"Info"`
			Tracks webm.Tracks `ebml:"Tracks"`
		} `ebml:"Segment,size=unknown"`
	}
	d.Header = webm.EBMLHeader{
		EBMLVersion: 1, EBMLReadVersion: 1, EBMLMaxIDLength: 4, EBMLMaxSizeLength: 8,
		DocType: "webm", DocTypeVersion: 4, DocTypeReadVersion: 2,
	}
	d.Segment.Info = webm.Info{TimecodeScale: 1e6}
	d.Segment.Tracks.TrackEntry = []webm.TrackEntry{{
		TrackNumber: 1, TrackUID: 1, CodecID: "V_VP8", TrackType: 1, Video: &webm.Video{PixelWidth: 320, PixelHeight: 180},
	}}
	return marshal(t, &d)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ebml.Marshal(v, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type fakeGroup struct {
	Block          ebml.Block `ebml:"Block"`
	BlockDuration  uint64     `ebml:"BlockDuration"`
	ReferenceBlock []int64    `ebml:"ReferenceBlock"`
}

// encodeWebM returns the bytes of a segment in Clusters of 15 samples.
func encodeWebM(t testing.TB, samples []Sample) []byte {
	t.Helper()
	var d struct {
		Cluster []struct {
			Timestamp   uint64       `ebml:"Timecode"`
			SimpleBlock []ebml.Block `ebml:"SimpleBlock"`
			BlockGroup  []fakeGroup  `ebml:"BlockGroup"`
		} `ebml:"Cluster"`
	}
	for chunk := range slices.Chunk(samples, 15) {
		n := len(d.Cluster)
		d.Cluster = slices.Grow(d.Cluster, 1)[:n+1]
		c := &d.Cluster[n]
		c.Timestamp = uint64(chunk[0].Time / msTicks)
		for i, s := range chunk {
			b := ebml.Block{
				TrackNumber: 1, Timecode: int16(s.Time/msTicks - chunk[0].Time/msTicks), Keyframe: s.Key, Data: [][]byte{s.Data},
			}
			if i+1 < len(chunk) {
				c.SimpleBlock = append(c.SimpleBlock, b)
				continue
			}
			g := fakeGroup{Block: b, BlockDuration: uint64(s.Duration / msTicks)}
			if !s.Key {
				g.ReferenceBlock = []int64{-33}
			}
			c.BlockGroup = []fakeGroup{g}
		}
	}
	return marshal(t, &d)
}

// Every rule of WebM segments is broken once, and must be found.
func TestWebMProblems(t *testing.T) {
	// patch changes bytes of a file behind the n-th occurrence of some.
	patch := func(name, find string, n, offset int, value ...byte) func(t *testing.T, m memory) {
		return func(t *testing.T, m memory) {
			t.Helper()
			data := bytes.Clone(m[dir+"/"+name])
			at := 0
			for range n {
				i := bytes.Index(data[at:], []byte(find))
				if i < 0 {
					t.Fatalf("%s has fewer than %d times % x", name, n, find)
				}
				at += i + len(find)
			}
			copy(data[at+offset:], value)
			m[dir+"/"+name] = data
		}
	}
	edit := func(old, replacement string) func(t *testing.T, m memory) {
		return func(t *testing.T, m memory) {
			t.Helper()
			text := string(m[dir+"/"+ManifestName])
			if !strings.Contains(text, old) {
				t.Fatalf("%q is not in the manifest:\n%s", old, text)
			}
			m[dir+"/"+ManifestName] = []byte(strings.Replace(text, old, replacement, 1))
		}
	}
	const (
		in, seg = "v_init.webm", "v_seg_0001.webm"
		cluster = "\x1f\x43\xb6\x75"
		block   = "\x81\x00\x21" // of track 1, 33 ms into its Cluster
	)
	for name, tt := range map[string]struct {
		mutate func(t *testing.T, m memory)
		want   string
	}{
		"not WebM":           {patch(in, "webm", 1, -4, []byte("mkvx")...), `is a "mkvx"`},
		"scale":              {patch(in, "\x2a\xd7\xb1\x83", 1, 0, 0, 1, 1), "TimestampScale of 257ns"},
		"codec":              {patch(in, "V_VP8", 1, -1, '9'), `codec "V_VP9"`},
		"track of init":      {patch(in, "\xd7\x81", 1, 0, 7), "a block of track 1"},
		"unknown element":    {patch(in, "\x73\xc5", 1, -1, 0xc6), "element 73C6 is not known"},
		"init cut off":       {func(_ *testing.T, m memory) { m[dir+"/"+in] = m[dir+"/"+in][:90] }, in + ": cannot be decoded"},
		"no tracks":          {func(_ *testing.T, m memory) { m[dir+"/"+in] = m[dir+"/"+in][:30] }, "cannot be decoded"},
		"init of a segment":  {func(_ *testing.T, m memory) { m[dir+"/"+in] = m[dir+"/"+seg] }, "cannot be decoded"},
		"segment of init":    {func(_ *testing.T, m memory) { m[dir+"/"+seg] = m[dir+"/"+in] }, "element 1A45DFA3 has no place"},
		"container":          {edit("video/webm", "video/mp4"), "another container"},
		"other container":    {edit("video/webm", "video/ogg"), "cannot be read"},
		"timescale":          {edit(`timescale="90000"`, `timescale="1024"`), "timescale 1000, the manifest says 1024"},
		"codecs":             {edit(`codecs="vp8"`, `codecs="vp09"`), `sample entry "vp8"`},
		"segment time":       {edit(`<S t="0"`, `<S t="90"`), "tfdt 0, the manifest says 90"},
		"segment duration":   {edit(`<S d="180000"/>`, `<S d="180090"/>`), "the manifest says 180090"},
		"unrounded":          {edit(`<S d="180000"/>`, `<S d="180001"/>`), "the manifest says 180001"},
		"cut off":            {func(_ *testing.T, m memory) { m[dir+"/"+seg] = m[dir+"/"+seg][:900] }, seg + ": cannot be decoded"},
		"size not known":     {patch(seg, cluster, 1, 0, 1, 255, 255, 255, 255, 255, 255, 255), "cannot be decoded"},
		"second Cluster":     {patch(seg, cluster, 2, -4, 0x1f, 0x43, 0xb6, 0x76), "is not known"},
		"time of a Cluster":  {patch(seg, "\xe7\x82\x01\xf4", 1, -1, 0xf5), "chunk begins at 45090, want 45000"},
		"track of a block":   {patch(seg, block, 1, -3, 0x82), "a block of track 2"},
		"lacing":             {patch(seg, block, 1, 0, 4), "cannot be decoded"},
		"invisible":          {patch(seg, block, 1, 0, 8), "invisible true"},
		"no key":             {patch(seg, "\x81\x00\x00\x80", 1, -1, 0), "does not start with a sync sample"},
		"block duration":     {patch(seg, "\x9b\x81\x21", 1, -1, 0x22), "want 45090"},
		"no block duration":  {patch(seg, "\x9b\x81\x21", 1, -1, 0), "its last one has no duration"},
		"equal block times":  {patch(seg, block, 1, -1, 0), "lasts 0 ticks"},
		"falling block time": {patch(seg, block, 1, -2, 0xff, 0), "lasts"},
	} {
		t.Run(name, func(t *testing.T) {
			m := record(t, sentLog(t, "vp8.ivf", "opus_mono.ogg", 7)).write(t)
			tt.mutate(t, m)
			var all []string
			for _, p := range read(t, m).Problems {
				all = append(all, p.String())
			}
			if !strings.Contains(strings.Join(all, "\n"), tt.want) {
				t.Errorf("problems %q, want one with %q", all, tt.want)
			}
		})
	}
}

// What the container rounds is accepted, and nothing more.
func TestCompareRounded(t *testing.T) {
	shift := func(first, last int, d media.Ticks) func(s []Sample) {
		return func(s []Sample) {
			for i := first; i < last; i++ {
				s[i].Time += d
			}
			for i := range s[:len(s)-1] {
				s[i].Duration = s[i+1].Time - s[i].Time
			}
		}
	}
	for name, tc := range map[string]struct {
		mutate func(s []Sample)
		want   string
	}{
		"rounded":                 {func([]Sample) {}, ""},
		"all later":               {shift(0, 210, 90), ""}, // the offset is not known
		"one a millisecond later": {shift(100, 101, 90), "video at a wrong time (1): #100 "},
		"one earlier":             {shift(100, 101, -90), "video at a wrong time (1): #100 "},
		"a step":                  {shift(100, 210, 90), "video steps in time (1): +"},
		"a step back":             {shift(100, 210, -90), "video steps in time (1): -"},
		"drift": {func(s []Sample) {
			for i := 40; i < 200; i += 40 {
				shift(i, len(s), 90)(s)
			}
		}, "video steps in time ("},
	} {
		t.Run(name, func(t *testing.T) {
			log := sentLog(t, "vp8.ivf", "opus_mono.ogg", 7)
			// A clock that is not in step with milliseconds: every rounding occurs.
			for i := range log.Video.Units {
				u := &log.Video.Units[i]
				u.Timestamp += int64(i)
				u.RTP += uint32(i)
			}
			f := record(t, log)
			tc.mutate(f.tracks[0].samples)
			err := Compare(log, read(t, f.write(t)), CompareOptions{}).Err()
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func FuzzDecodeWebM(f *testing.F) {
	m := record(f, sentLog(f, "vp8.ivf", "", 1)).write(f)
	f.Add(m[dir+"/v_init.webm"], m[dir+"/v_seg_0001.webm"][:3000])
	f.Add(m[dir+"/v_init.webm"], encodeWebM(f, []Sample{{Key: true, Duration: 90, Data: []byte{1}}, {Time: 90, Duration: 90, Data: []byte{2}}}))
	manifest := m[dir+"/"+ManifestName]
	f.Fuzz(func(t *testing.T, in, seg []byte) {
		m := memory{dir + "/" + ManifestName: manifest, dir + "/v_init.webm": in, dir + "/v_seg_0001.webm": seg}
		rec, err := ReadRecording(t.Context(), m, dir)
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
