package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// Players play through a recording of which the disk has lost a segment of pictures and one
// of sound: they show all but the time of these.
func TestLostSegments(t *testing.T) {
	t.Parallel()
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	made, s := recordShape(t, shapes.Shape{
		Name: "lost", For: second(14), Pubs: []shapes.Publication{{
			To: second(14), Audio: &shapes.Take{}, Video: []shapes.Take{{Video: shapes.Video{Codec: "H264", Width: 640, Height: 360, GOP: 2 * shapes.Rate}}},
		}},
	})
	dir := made.Recordings[0].RecordDir
	for _, name := range []string{"v_seg_0003.m4s", "a_seg_0005.m4s"} { // of two seconds each
		if err := os.Remove(filepath.Join(made.Root, filepath.FromSlash(dir), name)); err != nil {
			t.Fatal(err)
		}
		a := ask(t, http.MethodGet, s.url+"/api/record/object/"+dir+"/"+name, "")
		if a.status != http.StatusOK || a.header.Get(playback.StandInHeader) == "" || len(a.body) == 0 {
			t.Errorf("%s: %d with %d bytes, %v", name, a.status, len(a.body), a.header)
		}
	}
	for i := range made.Seconds {
		if i >= 3 && i <= 6 {
			made.Seconds[i].Picture = shapes.Nothing
		}
		if i >= 7 && i <= 10 {
			made.Seconds[i].Sound = shapes.Nothing
		}
	}
	url := s.url + "/api/record/object/" + dir + "/"
	playAll(t, openStage(t, 3, "chromium"), made, 0, []playing{
		{player: "chromium/shaka", urls: []string{url + media.ManifestName}},
		{player: "chromium/dashjs", urls: []string{url + media.ManifestName}},
		{player: "chromium/hlsjs", urls: []string{url + media.IndexName}},
	})
}
