package maintain

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

// originalFixture is a recording that an original live777 0.9 has made, of three seconds.
const originalFixture = "testdata/original"

// inFile writes a list of an original's recordings, and returns the name of the file.
func inFile(t *testing.T, list string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "originals.json")
	if err := os.WriteFile(name, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const dir = "records/1796235531"
	if err := os.CopyFS(filepath.Join(g.root, dir), os.DirFS(originalFixture)); err != nil {
		t.Fatal(err)
	}
	list := `{"stream":"camera","mpd_path":"records/1796235531/manifest.mpd","start_ts":1796235531340749,"end_ts":1796235534615199,"node_alias":"old"}`
	o := RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log, Originals: inFile(t, list)}
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
	o.Originals = ""
	if sum, err = Rebuild(t.Context(), o); err != nil || sum.Adopted != 0 || sum.Added != 0 || sum.Updated != 0 {
		t.Errorf("a second time: got %+v, %v", sum, err)
	}
}

// adopting is what TestAdoptFolders has an original have left behind in a folder.
type adopting struct {
	dir    string
	made   originalMade
	spoil  func(g *rig)
	status media.Status // "": it is not taken up
	reason string       // part of it
	tracks string
	filled float64 // seconds of the first track
}

// TestAdoptFolders takes up what an original leaves behind: recordings of several streams,
// ended, killed, running, with a lost segment, of every codec.
func TestAdoptFolders(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	now := time.Date(2026, 12, 2, 12, 0, 0, 0, time.UTC)
	cases := []adopting{
		{dir: "camera/1796212800", made: originalMade{video: "H264", segments: 2}, status: media.StatusDegraded, tracks: "H264 opus"},
		{dir: "hall/1796212800", made: originalMade{video: "VP9", segments: 2}, status: media.StatusDegraded, tracks: "VP9 opus"},
		{dir: "yard/1796212800", made: originalMade{video: "H265", segments: 1}, status: media.StatusDegraded, tracks: "H265 opus"},
		{dir: "roof/1796212800", made: originalMade{video: "AV1", segments: 1}, status: media.StatusDegraded, tracks: "AV1 opus"},
		{dir: "desk/1796212800", made: originalMade{segments: 2}, status: media.StatusDegraded, reason: "a codec that it does not record", tracks: "opus"}, // video of VP8
		{
			dir: "killed/1796212800", made: originalMade{video: "H264", segments: 1, more: 1, dynamic: true, published: now.Add(-time.Hour)},
			status: media.StatusDegraded, reason: "what came last is missing", tracks: "H264 opus",
		},
		{dir: "nothing/1796212800", made: originalMade{video: "H264", dynamic: true, published: now.Add(-time.Hour)}, status: media.StatusFailed, reason: "before it had stored any"},
		{dir: "running/1796212800", made: originalMade{video: "H264", segments: 2, dynamic: true, published: now.Add(-9 * time.Second)}},
		{
			dir: "lost/1796212800", made: originalMade{video: "H264", segments: 3}, spoil: func(g *rig) { g.remove("lost/1796212800/v_seg_0002.m4s") },
			status: media.StatusDegraded, reason: "of its segments 1 that", tracks: "H264 opus", filled: 10,
		},
		{
			dir: "first/1796212800", made: originalMade{video: "VP9", segments: 3},
			spoil:  func(g *rig) { g.remove("first/1796212800/v_seg_0001.m4s"); g.remove("first/1796212800/a_seg_0001.m4s") },
			status: media.StatusDegraded, reason: "of its segments 2 that", tracks: "VP9 opus", filled: 10,
		},
		{
			dir: "deaf/1796212800", made: originalMade{video: "H264", segments: 1}, spoil: func(g *rig) { g.remove("deaf/1796212800/a_seg_0001.m4s") },
			status: media.StatusDegraded, reason: "nothing of its audio can be played", tracks: "H264",
		},
	}
	for _, c := range cases {
		g.writeOriginal(c.dir, c.made)
		if c.spoil != nil {
			c.spoil(g)
		}
	}
	list := `{"stream":"desk","mpd_path":"desk/1796212800/manifest.mpd","status":"Failed"}`
	o := RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log, Originals: inFile(t, list), Now: func() time.Time { return now }}
	sum, err := Rebuild(t.Context(), o)
	if err != nil || sum.Adopted != len(cases)-1 || len(sum.Problems) != 0 || !slices.Equal(sum.Originals, []string{"running/1796212800"}) || len(sum.Running) != 0 {
		t.Fatalf("got %+v, %v", sum, err)
	}
	for _, c := range cases {
		if c.status == "" {
			continue
		}
		rec, err := g.db.Get(t.Context(), c.dir)
		if err != nil {
			t.Errorf("%s: %v", c.dir, err)
			continue
		}
		c.check(t, rec)
	}
	g.adoptedAreSound(len(cases) - 2) // nothing is stored of one, and one is running
	o.Originals = ""
	if sum, err = Rebuild(t.Context(), o); err != nil || sum.Adopted != 0 || sum.Updated != 0 || len(sum.Problems) != 0 {
		t.Errorf("a second time: got %+v, %v", sum, err)
	}
}

func (c *adopting) check(t *testing.T, rec media.Recording) {
	t.Helper()
	var tracks []string
	for _, l := range rec.Tracks {
		if l.Recorded {
			tracks = append(tracks, l.Codec)
		}
		if l.Recorded && math.Abs(l.MediaSeconds+l.FilledSeconds+l.GapSeconds-rec.Duration) > 0.002 {
			t.Errorf("%s: the seconds of %s are not %v: %+v", c.dir, l.Kind, rec.Duration, l)
		}
	}
	stream, _, _ := strings.Cut(c.dir, "/")
	if rec.Stream != stream || rec.Status != c.status || !strings.Contains(rec.Reason, c.reason) || strings.Join(tracks, " ") != c.tracks {
		t.Errorf("%s: got %s %s of %s, %q", c.dir, rec.Status, tracks, rec.Stream, rec.Reason)
	}
	if got := rec.Tracks[0].FilledSeconds; got != c.filled {
		t.Errorf("%s: %v seconds are filled, want %v", c.dir, got, c.filled)
	}
	if want := float64(originalSegment * (c.made.segments + c.made.more)); rec.Duration != want {
		t.Errorf("%s: lasts %v s, want %v", c.dir, rec.Duration, want)
	}
}

// adoptedAreSound verifies all that was taken up: an original has set a wrong flag, of which
// each recording is told once.
func (g *rig) adoptedAreSound(recordings int) {
	g.t.Helper()
	told := 0
	_, err := Verify(g.t.Context(), VerifyOptions{Backend: g.store, Catalogue: g.db, Report: func(f Finding) {
		for _, p := range f.Problems {
			switch {
			case strings.Contains(p.What, "0x000200"):
				told++
			case !strings.HasPrefix(p.Where, "running/"):
				g.t.Errorf("%s: %s", p.Where, p.What)
			}
		}
	}})
	if err != nil || told != recordings {
		g.t.Errorf("verify: %v; %d times told of the flag, want %d", err, told, recordings)
	}
}

// TestAdoptAgain: a rebuild that ended before a recording was taken up is done over, and what
// stands in for a lost segment is not taken for media.
func TestAdoptAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const dir = "lost/1796212800"
	g.writeOriginal(dir, originalMade{video: "H264", segments: 3})
	g.remove(dir + "/v_seg_0002.m4s")
	for range 2 {
		if _, err := Rebuild(t.Context(), RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log}); err != nil {
			t.Fatal(err)
		}
		rec, err := g.db.Get(t.Context(), dir)
		if err != nil || rec.Tracks[0].FilledSeconds != originalSegment || rec.DurableThrough != rec.Duration {
			t.Errorf("got %+v, %v", rec, err)
		}
		g.remove(dir + "/" + media.InfoName)
	}
}

// TestAdoptBucket takes up what an original has recorded to S3.
func TestAdoptBucket(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := miniotest.Start(t)
	bucket, err := s3.New(t.Context(), s3.Options{
		Bucket: m.Bucket, Root: "records", Region: miniotest.Region, Endpoint: m.Endpoint,
		AccessKeyID: m.AccessKey, SecretAccessKey: m.SecretKey, DisableConfigLoad: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.store.Backend = bucket
	g.writeOriginal("camera/1796212800", originalMade{video: "H264", segments: 2})
	g.writeOriginal("lost/1796212800", originalMade{video: "VP9", segments: 3})
	g.remove("lost/1796212800/a_seg_0003.m4s")
	sum, err := Rebuild(t.Context(), RebuildOptions{Backend: g.store, Catalogue: g.db, Partial: true, Logger: g.log})
	if err != nil || sum.Adopted != 2 || sum.Added != 2 || len(sum.Problems) != 0 {
		t.Fatalf("got %+v, %v", sum, err)
	}
	g.adoptedAreSound(2)
}
