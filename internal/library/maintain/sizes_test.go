package maintain

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// TestVerifyBySize: what is not read is compared by names and sizes, with what waits
// for its upload: no media is fetched.
func TestVerifyBySize(t *testing.T) {
	const segment = "v_seg_0002.m4s"
	for name, test := range map[string]struct {
		damage func(g *rig, dir string) map[string]int64 // returns what waits
		want   string                                    // "" for no problem
	}{
		"good": {func(*rig, string) map[string]int64 { return nil }, ""},
		"lost": {func(g *rig, dir string) map[string]int64 { g.remove(dir + "/" + segment); return nil }, "storage has 5 segments"},
		"cut": {func(g *rig, dir string) map[string]int64 {
			if err := os.Truncate(filepath.Join(g.root, dir, segment), 10); err != nil {
				g.t.Fatal(err)
			}
			return nil
		}, "storage has 6 segments"},
		"waits": {func(g *rig, dir string) map[string]int64 {
			size := int64(len(g.read(dir + "/" + segment)))
			g.remove(dir + "/" + segment)
			return map[string]int64{dir + "/" + segment: size, "other/1/" + segment: 1}
		}, ""},
		"no manifest": {func(g *rig, dir string) map[string]int64 { g.remove(dir + "/" + media.ManifestName); return nil }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			dir := g.record("camera/1795367766", nil).RecordDir
			waiting := test.damage(g, dir)
			g.store.onGet(func(key string) error {
				if strings.Contains(key, "_seg_") {
					return errors.New("media is fetched")
				}
				return nil
			})
			found, _, err := g.verify(func(o *VerifyOptions) {
				o.Partial, o.Waiting, o.Read = true, waiting, func(string) bool { return false }
			})
			if err != nil {
				t.Fatal(err)
			}
			f := found[dir]
			if (test.want == "") != (len(f.Problems) == 0) || f.Error != "" || test.want != "" && !strings.Contains(f.Problems[0].What, test.want) {
				t.Errorf("%+v, want %q", f, test.want)
			}
			if (waiting != nil) != (f.Note == "1 objects wait in the spool") {
				t.Errorf("note %q", f.Note)
			}
		})
	}
}

// TestVerifyGone: a recording that a bucket has lost as a whole is found, and one that
// waits for its upload is none.
func TestVerifyGone(t *testing.T) {
	stored := func(r *media.Recording) { r.DurableThrough = r.Duration }
	for name, test := range map[string]struct {
		change  func(*media.Recording)
		waiting map[string]int64
		want    string // "" for a note
	}{
		"stored":      {stored, map[string]int64{}, "is not in storage any more"},
		"waits":       {nil, map[string]int64{"camera/1795367766/recording.json": 1}, ""},
		"nowhere":     {nil, map[string]int64{}, "neither in storage nor in the spool"},
		"of another":  {func(r *media.Recording) { r.Node = "another" }, map[string]int64{}, ""},
		"not known":   {nil, nil, ""},
		"stored once": {stored, nil, "is not in storage any more"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			rec := g.record("camera/1795367766", test.change)
			if err := os.RemoveAll(filepath.Join(g.root, "camera")); err != nil {
				t.Fatal(err)
			}
			node := rec.Node
			if name == "of another" {
				node = "this one"
			}
			found, _, err := g.verify(func(o *VerifyOptions) { o.Partial, o.Waiting, o.Node = true, test.waiting, node })
			if err != nil {
				t.Fatal(err)
			}
			f := found[rec.RecordDir]
			if test.want == "" && (f.Note == "" || len(f.Problems) > 0) || test.want != "" && (len(f.Problems) != 1 || !strings.Contains(f.Problems[0].What, test.want)) {
				t.Errorf("%+v, want %q", f, test.want)
			}
		})
	}
}
