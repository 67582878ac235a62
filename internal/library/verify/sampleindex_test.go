package verify_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media/fmp4"
)

// A sample index is compared with the segments, sample by sample.
func TestSampleIndex(t *testing.T) {
	// Of the real writer: a fake's boxes are others.
	recorded := os.DirFS("../maintain/testdata/recording")
	m := verifytest.Memory{}
	files, err := fs.Glob(recorded, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if m[verifytest.Dir+"/"+name], err = fs.ReadFile(recorded, name); err != nil {
			t.Fatal(err)
		}
	}
	var segments []fmp4.IndexedSegment
	for n := 1; ; n++ {
		data, ok := m[fmt.Sprintf("%s/v_seg_%04d.m4s", verifytest.Dir, n)]
		if !ok {
			break
		}
		tables, err := fmp4.Tables(bytes.NewReader(data), int64(len(data)))
		if err != nil || len(tables) == 0 {
			t.Fatalf("%d tables, %v", len(tables), err)
		}
		segments = append(segments, fmp4.IndexedSegment{Number: n, Bytes: int64(len(data)), Tables: tables})
	}
	if len(segments) < 3 {
		t.Fatalf("%d segments", len(segments))
	}
	second := &segments[1].Tables[0].Samples[1]
	for _, tc := range []struct {
		name         string
		change, back func()
		want         string
	}{
		{"right", func() {}, func() {}, ""},
		{"one that is longer", func() { second.Duration++ }, func() { second.Duration-- }, "other samples"},
		{"one that is bigger", func() { second.Size++ }, func() { second.Size-- }, "other samples"},
		{"one that is later", func() { second.Composition += 90 }, func() { second.Composition -= 90 }, "other samples"},
		{"another key frame", func() { second.Key = !second.Key }, func() { second.Key = !second.Key }, "other samples"},
		{"elsewhere", func() { segments[1].Tables[0].Offset-- }, func() { segments[1].Tables[0].Offset++ }, "other samples"},
		{"of another size", func() { segments[1].Bytes++ }, func() { segments[1].Bytes-- }, "bytes, it has"},
		{"of a segment too many", func() { segments[2].Number = 99 }, func() { segments[2].Number = 3 }, "does not name"},
	} {
		tc.change()
		var x fmp4.Index
		for _, s := range segments[:3] {
			x.Add(s)
		}
		tc.back()
		wantIndexProblem(t, m, tc.name, x.Bytes(), tc.want)
	}
	var x fmp4.Index
	for _, s := range segments[:3] {
		x.Add(s)
	}
	m[verifytest.Dir+"/v_samples_0001.idx"] = x.Bytes()
	for want, change := range map[string]func(s *fmp4.Summary){
		"": func(*fmp4.Summary) {}, "says [": func(s *fmp4.Summary) { s.Keys++ }, "in no index": func(s *fmp4.Summary) { s.Number = 99 },
	} {
		var sums fmp4.Summaries
		sum := fmp4.Summarize(2, segments[1].Tables)
		change(&sum)
		sums.Fit(sum)
		wantProblem(t, m, "v_samples.idx", sums.Bytes(), want)
	}
	wantProblem(t, m, "v_samples.idx", []byte("LSUM\x01wrong"), "checksum")
	delete(m, verifytest.Dir+"/v_samples.idx")

	x = fmp4.Index{}
	x.Add(segments[1]) // it may lack segments
	wantIndexProblem(t, m, "of one segment", x.Bytes(), "")
	for i := range x.Bytes() {
		damaged := x.Bytes()
		damaged[i] ^= 1
		wantIndexProblem(t, m, fmt.Sprintf("byte %d damaged", i), damaged, "v_samples_0001.idx: ")
		if i > 40 {
			break
		}
	}
}

// wantIndexProblem wants a problem of the sample index, or none.
func wantIndexProblem(t *testing.T, m verifytest.Memory, name string, index []byte, want string) {
	t.Helper()
	m[verifytest.Dir+"/v_samples_0001.idx"] = index
	checkProblem(t, m, name, want)
}

// wantProblem wants a problem of an object, or none.
func wantProblem(t *testing.T, m verifytest.Memory, name string, data []byte, want string) {
	t.Helper()
	m[verifytest.Dir+"/"+name] = data
	checkProblem(t, m, name, want)
}

func checkProblem(t *testing.T, m verifytest.Memory, name, want string) {
	t.Helper()
	rec := verifytest.Read(t, m)
	if want == "" && len(rec.Problems) > 0 {
		t.Errorf("%s: %v", name, rec.Problems)
	}
	if want != "" && (len(rec.Problems) != 1 || !strings.Contains(rec.Problems[0].String(), want)) {
		t.Errorf("%s: %v, want %q", name, rec.Problems, want)
	}
}
