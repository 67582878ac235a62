package verify_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
)

// Every rule of WebM segments is broken once, and must be found.
func TestWebMProblems(t *testing.T) {
	// patch changes bytes of a file behind the n-th occurrence of some.
	patch := func(name, find string, n, offset int, value ...byte) func(t *testing.T, m verifytest.Memory) {
		return func(t *testing.T, m verifytest.Memory) {
			t.Helper()
			data := bytes.Clone(m[verifytest.Dir+"/"+name])
			at := 0
			for range n {
				i := bytes.Index(data[at:], []byte(find))
				if i < 0 {
					t.Fatalf("%s has fewer than %d times % x", name, n, find)
				}
				at += i + len(find)
			}
			copy(data[at+offset:], value)
			m[verifytest.Dir+"/"+name] = data
		}
	}
	edit := func(old, replacement string) func(t *testing.T, m verifytest.Memory) {
		return func(t *testing.T, m verifytest.Memory) {
			t.Helper()
			text := string(m[verifytest.Dir+"/"+verify.ManifestName])
			if !strings.Contains(text, old) {
				t.Fatalf("%q is not in the manifest:\n%s", old, text)
			}
			m[verifytest.Dir+"/"+verify.ManifestName] = []byte(strings.Replace(text, old, replacement, 1))
		}
	}
	const (
		in, seg = "v_init.webm", "v_seg_0001.webm"
		cluster = "\x1f\x43\xb6\x75"
		block   = "\x81\x00\x21" // of track 1, 33 ms into its Cluster
	)
	for name, tt := range map[string]struct {
		mutate func(t *testing.T, m verifytest.Memory)
		want   string
	}{
		"not WebM":           {patch(in, "webm", 1, -4, []byte("mkvx")...), `is a "mkvx"`},
		"scale":              {patch(in, "\x2a\xd7\xb1\x83", 1, 0, 0, 1, 1), "TimestampScale of 257ns"},
		"codec":              {patch(in, "V_VP8", 1, -1, '9'), `codec "V_VP9"`},
		"track of init":      {patch(in, "\xd7\x81", 1, 0, 7), "a block of track 1"},
		"unknown element":    {patch(in, "\x73\xc5", 1, -1, 0xc6), "element 73C6 is not known"},
		"init cut off":       {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/"+in] = m[verifytest.Dir+"/"+in][:90] }, in + ": cannot be decoded"},
		"no tracks":          {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/"+in] = m[verifytest.Dir+"/"+in][:30] }, "cannot be decoded"},
		"init of a segment":  {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/"+in] = m[verifytest.Dir+"/"+seg] }, "cannot be decoded"},
		"segment of init":    {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/"+seg] = m[verifytest.Dir+"/"+in] }, "element 1A45DFA3 has no place"},
		"container":          {edit("video/webm", "video/mp4"), "another container"},
		"other container":    {edit("video/webm", "video/ogg"), "cannot be read"},
		"timescale":          {edit(`timescale="90000"`, `timescale="1024"`), "timescale 1000, the manifest says 1024"},
		"codecs":             {edit(`codecs="vp8"`, `codecs="vp09"`), `sample entry "vp8"`},
		"segment time":       {edit(`<S t="0"`, `<S t="90"`), "tfdt 0, the manifest says 90"},
		"segment duration":   {edit(`<S d="180000"/>`, `<S d="180090"/>`), "the manifest says 180090"},
		"unrounded":          {edit(`<S d="180000"/>`, `<S d="180001"/>`), "the manifest says 180001"},
		"cut off":            {func(_ *testing.T, m verifytest.Memory) { m[verifytest.Dir+"/"+seg] = m[verifytest.Dir+"/"+seg][:900] }, seg + ": cannot be decoded"},
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
			m := verifytest.Record(t, verifytest.SentLog(t, "vp8.ivf", "opus_mono.ogg", 7)).Write(t)
			tt.mutate(t, m)
			var all []string
			for _, p := range verifytest.Read(t, m).Problems {
				all = append(all, p.String())
			}
			if !strings.Contains(strings.Join(all, "\n"), tt.want) {
				t.Errorf("problems %q, want one with %q", all, tt.want)
			}
		})
	}
}

func FuzzDecodeWebM(f *testing.F) {
	m := verifytest.Record(f, verifytest.SentLog(f, "vp8.ivf", "", 1)).Write(f)
	f.Add(m[verifytest.Dir+"/v_init.webm"], m[verifytest.Dir+"/v_seg_0001.webm"][:3000])
	f.Add(m[verifytest.Dir+"/v_init.webm"], verifytest.EncodeWebM(f, []verify.Sample{{Key: true, Duration: 90, Data: []byte{1}}, {Time: 90, Duration: 90, Data: []byte{2}}}))
	manifest := m[verifytest.Dir+"/"+verify.ManifestName]
	f.Fuzz(func(t *testing.T, in, seg []byte) {
		m := verifytest.Memory{verifytest.Dir + "/" + verify.ManifestName: manifest, verifytest.Dir + "/v_init.webm": in, verifytest.Dir + "/v_seg_0001.webm": seg}
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
