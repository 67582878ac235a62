package maintain

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// originalFixture is a recording that an original live777 0.9 has made, of three seconds.
const originalFixture = "testdata/original"

func TestAdopt(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const dir = "records/1796235531"
	if err := os.CopyFS(filepath.Join(g.root, dir), os.DirFS(originalFixture)); err != nil {
		t.Fatal(err)
	}
	list := `{"stream":"camera","mpd_path":"records/1796235531/manifest.mpd","start_ts":1796235531340749,"end_ts":1796235534615199,"node_alias":"old"}`
	o := RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log, Originals: bytes.NewReader([]byte(list))}
	sum, err := Rebuild(t.Context(), o)
	if err != nil || sum.Adopted != 1 || sum.Added != 1 || len(sum.Problems) != 0 {
		t.Fatalf("got %+v, %v", sum, err)
	}
	rec, err := g.db.Get(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Stream != "camera" || rec.Node != "old" || rec.Start.UnixMilli() != 1796235531341 || rec.Status != media.StatusDegraded || len(rec.Tracks) != 2 {
		t.Errorf("got %+v", rec)
	}
	for _, l := range rec.Tracks {
		if sum := l.MediaSeconds + l.FilledSeconds + l.GapSeconds; !l.Recorded || l.Frames == 0 || math.Abs(sum-rec.Duration) > 0.002 {
			t.Errorf("got %+v", l)
		}
	}
	old, err := os.ReadFile(filepath.Join(originalFixture, media.ManifestName))
	if err != nil || !bytes.Equal(g.read(dir+"/"+media.OriginalManifestName), old) {
		t.Errorf("the original's manifest is not kept: %v", err)
	}
	if in := g.read(dir + "/a_init_2.m4s"); len(in) != 580 { // the original's has 584, and is no MP4 to most readers
		t.Errorf("the mended init segment has %d bytes", len(in))
	}
	o.Originals = nil
	if sum, err = Rebuild(t.Context(), o); err != nil || sum.Adopted != 0 || sum.Added != 0 || sum.Updated != 0 {
		t.Errorf("a second time: got %+v, %v", sum, err)
	}
}
