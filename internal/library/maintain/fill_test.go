package maintain

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
)

// Rebuild fills what storage has lost, and books it, so that verify finds nothing. It may be
// ended at any point and begun again.
func TestFill(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const dir = "camera/1795367766"
	g.record(dir, func(r *media.Recording) {
		for i := range r.Tracks {
			r.Tracks[i].MediaSeconds, r.Tracks[i].FilledSeconds = 2.5, 0.5
			r.Tracks[i].Gaps = []media.Gap{{Start: 1.8, Duration: 0.5, Cause: "loss", Filled: true}}
		}
		r.Status, r.Reason = media.StatusDegraded, "video: 1 packets were lost"
	})
	o := RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log, Fill: true}
	fill := func(filled int, lose ...string) media.Recording {
		t.Helper()
		for _, name := range lose {
			g.remove(dir + "/" + name)
		}
		sum, err := Rebuild(t.Context(), o)
		if err != nil || sum.Filled != filled || len(sum.Problems) > 0 {
			t.Fatalf("got %+v, %v", sum, err)
		}
		found, _, err := g.verify(nil)
		if err != nil || len(found[dir].Problems) > 0 {
			t.Fatalf("%v, %v", found[dir].Problems, err)
		}
		rec, err := g.db.Get(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	rec := fill(2, "v_seg_0002.m4s", "a_seg_0003.m4s")
	if rec.Reason != "video: 1 packets were lost; "+movie.StandReason || rec.Tracks[0].Frames >= 90 || rec.Tracks[0].Frames < 50 {
		t.Errorf("got %q, %d frames", rec.Reason, rec.Tracks[0].Frames)
	}
	for i, from := range []float64{1, 2} {
		l := rec.Tracks[i]
		sum, whole := 0.0, false
		for _, gap := range l.Gaps {
			sum += gap.Duration
			whole = whole || gap.Cause == media.CauseStorage && gap.Filled && math.Abs(gap.Start-from) < 0.1 && math.Abs(gap.Duration-1) < 0.1
		}
		if !whole || math.Abs(l.FilledSeconds-sum) > 0.001 || math.Abs(l.MediaSeconds+l.FilledSeconds-3) > 0.001 {
			t.Errorf("%s: %+v, %v s filled and %v s of media", l.Kind, l.Gaps, l.FilledSeconds, l.MediaSeconds)
		}
	}
	if again := fill(1, "v_seg_0002.m4s"); !Same(again, rec) {
		t.Errorf("it was ended in between: %+v, want %+v", again, rec)
	}
	fill(0)
}

// Nothing is filled that may come yet, or where so much is missing that a disk may be.
func TestNotFilled(t *testing.T) {
	t.Parallel()
	const dir = "camera/1795367766"
	for name, c := range map[string]struct {
		spoil   func(g *rig)
		partial bool
		want    string
	}{
		"uploads":    {func(*rig) {}, true, "waiting for their upload"},
		"too much":   {func(g *rig) { g.rename(dir, ` r="2"`, ` r="150"`) }, false, "too much to fill"},
		"impossible": {func(g *rig) { g.remove(dir + "/v_init.m4s") }, false, "nothing can stand for it"},
	} {
		g := newRig(t)
		g.record(dir, nil)
		g.remove(dir + "/v_seg_0002.m4s")
		c.spoil(g)
		before := g.read(dir + "/recording.json")
		sum, err := Rebuild(t.Context(), RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log, Fill: true, Partial: c.partial})
		if err != nil || sum.Filled != 0 || len(sum.Problems) != 1 || !strings.Contains(sum.Problems[0].What, c.want) {
			t.Errorf("%s: %+v, %v", name, sum, err)
		}
		if !bytes.Equal(g.read(dir+"/recording.json"), before) {
			t.Errorf("%s: recording.json has changed", name)
		}
	}
}

// What verify finds lost it notes in the catalogue, and is content with that, as is rebuild,
// until the segment is back.
func TestLostIsNoted(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const dir, segment = "camera/1795367766", "camera/1795367766/v_seg_0002.m4s"
	before := g.record(dir, func(r *media.Recording) { r.Status, r.Reason = media.StatusComplete, "" })
	row := func() media.Recording {
		t.Helper()
		r, err := g.db.Get(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	data := g.read(segment)
	g.remove(segment)
	if _, _, err := g.verify(func(o *VerifyOptions) { o.Read = func(string) bool { return false } }); err != nil || !Same(row(), before) {
		t.Errorf("a check of sizes has noted something: %v", err)
	}
	found, _, err := g.verify(nil)
	noted := row()
	if gaps := noted.Tracks[0].Gaps; err != nil || noted.Status != media.StatusDegraded || noted.Reason != movie.StandReason || len(gaps) != 1 || gaps[0].Cause != media.CauseStorage {
		t.Errorf("%v, %+v", err, noted)
	}
	for try := range 2 {
		for _, p := range found[dir].Problems {
			if strings.Contains(p.What, "the catalogue says") {
				t.Errorf("time %d: %v", try, p)
			}
		}
		if sum := g.rebuild(nil); sum.Updated != 0 || !Same(row(), noted) {
			t.Errorf("a rebuild has taken the note away: %+v", sum)
		}
		found, _, err = g.verify(nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	g.write(segment, data)
	if sum := g.rebuild(nil); sum.Updated != 1 || !Same(row(), before) {
		t.Errorf("the segment is back: %+v, %+v", sum, row())
	}
}

// rename replaces a text in the manifest of a recording.
func (g *rig) rename(dir, from, to string) {
	g.t.Helper()
	text := g.read(dir + "/manifest.mpd")
	if !bytes.Contains(text, []byte(from)) {
		g.t.Fatalf("the manifest has no %q", from)
	}
	g.write(dir+"/manifest.mpd", bytes.ReplaceAll(text, []byte(from), []byte(to)))
}
