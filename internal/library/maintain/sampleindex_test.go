package maintain

import (
	"bytes"
	"os"
	"path"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// Sample indexes are made where they are missing, and made whole after a crash; verify
// finds nothing wrong with them. Without being told to, rebuild makes none.
func TestRebuildIndexes(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", nil)
	g.rebuild(nil)
	index := path.Join(rec.RecordDir, "v_samples_0001.idx")
	if _, err := g.store.Stat(t.Context(), index); err == nil {
		t.Fatal("an index was made that nobody wanted")
	}
	all := func(o *RebuildOptions) { o.Index = true }
	if sum := g.rebuild(all); sum.Indexed != 2 || len(sum.Problems) > 0 {
		t.Errorf("%+v, want two indexes", sum)
	}
	whole := g.read(index)
	if segments, err := fmp4.ReadIndex(whole); err != nil || len(segments) != 3 {
		t.Errorf("%d segments, %v", len(segments), err)
	}
	if sum := g.rebuild(all); sum.Indexed != 0 {
		t.Errorf("%d indexes were made anew", sum.Indexed)
	}
	found, _, err := g.verify(nil)
	if f := found[rec.RecordDir]; err != nil || len(f.Problems) > 0 {
		t.Errorf("verify finds %v, %v", f.Problems, err)
	}

	// Its node died after the first segments.
	rec.Recovered = 1
	g.writeInfo(rec)
	segments, _ := fmp4.ReadIndex(whole)
	var part fmp4.Index
	part.Add(segments[2])
	g.write(index, part.Bytes())
	if sum := g.rebuild(all); sum.Indexed != 1 || !bytes.Equal(g.read(index), whole) {
		t.Errorf("%d indexes were made whole", sum.Indexed)
	}

	g.remove(index)
	g.write(path.Join(rec.RecordDir, "v_seg_0002.m4s"), []byte("torn"))
	if sum := g.rebuild(all); sum.Indexed != 0 || len(sum.Problems) != 1 {
		t.Errorf("of a damaged segment: %+v", sum)
	}
}

// Of many indexes a summary is made, and made again after a crash if it lacks segments.
func TestRebuildSummary(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", nil)
	data := g.read(path.Join(rec.RecordDir, "v_seg_0001.m4s"))
	for _, name := range []string{"v_seg_0257.m4s", "v_seg_0513.m4s"} {
		g.write(path.Join(rec.RecordDir, name), data)
	}
	all := func(o *RebuildOptions) { o.Index = true }
	if sum := g.rebuild(all); sum.Indexed != 5 {
		t.Errorf("%+v, want three indexes of pictures and their summary, and one of sound", sum)
	}
	summary := path.Join(rec.RecordDir, "v_samples.idx")
	whole := g.read(summary)
	if list, err := fmp4.ReadSummaries(whole); err != nil || len(list) != 5 || list[4].Number != 513 {
		t.Errorf("%+v, %v", list, err)
	}
	rec.Recovered = 1
	g.writeInfo(rec)
	g.write(summary, new(fmp4.Summaries).Bytes())
	if sum := g.rebuild(all); sum.Indexed != 1 || !bytes.Equal(g.read(summary), whole) {
		t.Errorf("%d were made whole", sum.Indexed)
	}
}

// After four digits the names of segments are no more in the order of their numbers.
func TestIndexOfManySegments(t *testing.T) {
	g := newRig(t)
	data, err := os.ReadFile(fixture + "/v_seg_0001.m4s")
	if err != nil {
		t.Fatal(err)
	}
	var objects []storage.Object
	for _, name := range []string{"v_seg_10000.m4s", "v_seg_9999.m4s"} {
		g.write(path.Join("camera", name), data)
		objects = append(objects, storage.Object{Key: path.Join("camera", name)})
	}
	x, err := indexOf(t.Context(), g.store, objects)
	if err != nil {
		t.Fatal(err)
	}
	if segments, err := fmp4.ReadIndex(x.Bytes()); err != nil || len(segments) != 2 || segments[0].Number != 9999 {
		t.Errorf("%d segments, %v", len(segments), err)
	}
	if a, b := media.SampleIndexName("v_seg_9999.m4s", 9999), media.SampleIndexName("v_seg_10000.m4s", 10000); a != b || a != "v_samples_0040.idx" {
		t.Errorf("in the indexes %q and %q", a, b)
	}
}
