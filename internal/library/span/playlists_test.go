package span

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The playlists that are answered for spans are those of the golden files, which a parser
// that is not ours reads (web/test/hls.test.ts).
func TestPlaylistsOfSpans(t *testing.T) {
	h264 := &media.Format{Codec: "H264", RFC6381: "avc1.42C01F", Timescale: 90000, Width: 640, Height: 360}
	vp9 := &media.Format{Codec: "VP9", RFC6381: "vp09.00.30.08", Timescale: 90000, Width: 1280, Height: 720}
	f := &shelf{video: map[string]*media.Format{"camera/1": h264, "camera/2": vp9, "camera/3": h264}}
	f.record("camera/1", 0, 10, false)
	f.record("camera/2", 10, 20, false)
	f.record("camera/3", 30, 34, true)
	f.tail = manifest.Tail{Chunk: 500 * time.Millisecond, Parts: map[string][]manifest.Part{
		"v_seg_0003.m4s": {{Duration: 45000, Bytes: 80_000, Key: true}, {Duration: 45000, Bytes: 20_000}}, "a_seg_0003.m4s": {{Duration: 24000, Bytes: 800, Key: true}},
	}}
	f.more = make(chan struct{})
	l := library(t, f)
	for name, s := range map[string]media.TimeSpan{
		"sealed": span(3, 9), "rotation": span(5, 15), "hole": span(15, 33), "rewound": span(5, 0), "live": span(31, 0),
	} {
		got := playlists(t, l, s)
		path := filepath.Join("testdata", name+".m3u8.txt")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs (run with -update if that is meant), got\n%s", path, got)
		}
	}
}

// named matches the playlists that a playlist names.
var named = regexp.MustCompile(`[a-z0-9-]+\.m3u8`)

// playlists returns the playlists of a span as they are answered: a line with the name, and
// the content of each.
func playlists(t *testing.T, l *Library, s media.TimeSpan) (all []byte) {
	t.Helper()
	names := []string{media.IndexName}
	for i := 0; i < len(names); i++ {
		w, err := get(t, l, "camera", s, names[i])
		if err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d, %v", names[i], w.Code, err)
		}
		all = fmt.Appendf(all, "===== %s\n%s", names[i], w.Body)
		for _, name := range named.FindAllString(strings.ReplaceAll(w.Body.String(), media.IndexName, ""), -1) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return all
}
