package maintain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// listed is a storage that has nothing but keys.
type listed struct {
	storage.Backend
	keys []string
	fail error // after them
}

func (l listed) List(_ context.Context, _ string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		for _, key := range l.keys {
			if !yield(storage.Object{Key: key}, nil) {
				return
			}
		}
		if l.fail != nil {
			yield(storage.Object{}, l.fail)
		}
	}
}

// TestFolders: every folder comes once, with all its objects, although those of
// folders within it lie between them.
func TestFolders(t *testing.T) {
	keys := []string{
		"top", "a-b/x", "a.b/x", "a/a", "a/b-c/x", "a/b/c/d/x", "a/b/c/x", "a/b/y", "a/b/z/x", "a/c", "a/d/x", "a/e", "a/f/g/h/x", "aa/x", "b/c/x", "b/d/e/x",
	}
	slices.Sort(keys)
	want := map[string][]string{}
	for _, key := range keys {
		if dir := path.Dir(key); dir != "." {
			want[dir] = append(want[dir], key)
		}
	}
	got := map[string][]string{}
	for f, err := range folders(t.Context(), listed{keys: keys}, "") {
		if err != nil {
			t.Fatal(err)
		}
		if got[f.dir] != nil {
			t.Errorf("%s comes twice", f.dir)
		}
		for _, o := range f.objects {
			got[f.dir] = append(got[f.dir], o.Key)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("folders are %v, want %v", got, want)
	}
	broken := errors.New("broken")
	n := 0
	for f, err := range folders(t.Context(), listed{keys: keys, fail: broken}, "") {
		if n++; err != nil && (!errors.Is(err, broken) || f.dir != "") {
			t.Errorf("error %v", err)
		}
	}
	if err := each(t.Context(), folders(t.Context(), listed{keys: keys, fail: broken}, ""), 3, func(context.Context, folder) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("each: error %v", err)
	}
	if err := each(t.Context(), folders(t.Context(), listed{keys: keys}, ""), 3, func(context.Context, folder) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("each: error %v", err)
	}
}

// recordSome records in several folders, some within others.
func recordSome(g *rig) []string {
	dirs := []string{"camera/1795367766", "camera/1795367770", "camera", "hall/shared", "hall/shared/1795367766"}
	for i, dir := range dirs {
		g.record(dir, func(r *media.Recording) {
			r.Protected = i == 1
			if i == 2 {
				r.Status, r.Reason = media.StatusDegraded, "2 packets were lost"
			}
		})
	}
	return dirs
}

// TestRebuild: a catalogue that was lost comes back entry by entry; once more
// changes nothing, not even the feed.
func TestRebuild(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	want := g.entries()
	g.lose()
	sum := g.rebuild(nil)
	if got := g.entries(); !slices.Equal(got, want) {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if sum.Recordings != len(dirs) || sum.Added != len(dirs) || len(sum.Problems) > 0 {
		t.Errorf("summary %+v", sum)
	}
	before, err := g.db.LastSeq(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum = g.rebuild(nil)
	if after, err := g.db.LastSeq(t.Context()); err != nil || after != before {
		t.Errorf("once more: %d changes, %v", after-before, err)
	}
	if want := (RebuildSummary{Recordings: len(dirs)}); sum.Recordings != want.Recordings || sum.Added+sum.Updated+sum.Removed != 0 {
		t.Errorf("once more: %+v", sum)
	}
}

// TestRebuildCorrects: what differs is brought in line, what is gone is removed.
func TestRebuildCorrects(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	want := g.entries()
	wrong, err := g.db.Get(t.Context(), dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	gone := wrong
	wrong.Bytes, wrong.Protected = 7, true
	gone.RecordDir = "camera/1795360000"
	if err := errors.Join(g.db.Put(t.Context(), wrong), g.db.Put(t.Context(), gone)); err != nil {
		t.Fatal(err)
	}
	sum := g.rebuild(func(o *RebuildOptions) { o.Partial = true })
	if sum.Updated != 1 || sum.Removed != 0 || !slices.Equal(sum.Kept, []string{gone.RecordDir}) {
		t.Errorf("of a storage that may lack something: %+v", sum)
	}
	if sum := g.rebuild(nil); sum.Updated != 0 || sum.Removed != 1 || len(sum.Kept) > 0 {
		t.Errorf("summary %+v", sum)
	}
	if got := g.entries(); !slices.Equal(got, want) {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRebuildPartial: what is not in a storage that may lack something is removed
// where it was all there once, and stays where it may be on its way, is elsewhere,
// or the storage could not be listed.
func TestRebuildPartial(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	want := g.entries()
	add := func(dir string, change func(*media.Recording)) {
		rec, _, err := readInfo(t.Context(), g.store, dirs[0])
		rec.RecordDir, rec.DurableThrough = dir, rec.Duration
		if change != nil {
			change(&rec)
		}
		if err := errors.Join(err, g.db.Put(t.Context(), rec)); err != nil {
			t.Fatal(err)
		}
	}
	add("camera/deleted", nil)
	add("camera/waits", func(r *media.Recording) { r.DurableThrough = r.Duration / 2 })
	add("camera/runs", func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil })
	add("@edge/camera/deleted", nil)
	all := len(g.entries())
	options := RebuildOptions{
		Backend: g.store, Catalogue: g.db, Logger: g.log, Partial: true,
		Elsewhere: func(r media.Recording) bool { return strings.HasPrefix(r.RecordDir, "@") },
	}

	broken := options
	broken.Backend = unlisted{g.store}
	if sum, err := Rebuild(t.Context(), broken); !errors.Is(err, errUnlisted) || sum.Removed != 0 || len(g.entries()) != all {
		t.Errorf("a listing that broke off: %+v, %v, %d of %d are left", sum, err, len(g.entries()), all)
	}
	sum, err := Rebuild(t.Context(), options)
	if err != nil || sum.Removed != 1 || !slices.Equal(sum.Kept, []string{"camera/runs", "camera/waits"}) && !slices.Equal(sum.Kept, []string{"camera/waits", "camera/runs"}) || len(sum.Problems) > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err := g.db.Get(t.Context(), "camera/deleted"); !errors.Is(err, catalogue.ErrNotFound) || len(g.entries()) != all-1 {
		t.Errorf("%v; left are %s", err, g.entries())
	}
	for _, dir := range []string{"camera/waits", "camera/runs", "@edge/camera/deleted"} {
		if err := g.db.Delete(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.entries(); !slices.Equal(got, want) {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// unlisted is a storage whose listing breaks off after the first object.
type unlisted struct{ storage.Backend }

var errUnlisted = errors.New("the listing breaks off")

func (u unlisted) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		for o, err := range u.Backend.List(ctx, prefix) {
			if yield(o, err) {
				yield(storage.Object{}, errUnlisted)
			}
			return
		}
	}
}

// TestRebuildDamaged: a bad file is reported, and hurts nothing else: not even
// what the catalogue knows of that recording.
func TestRebuildDamaged(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "torn": `{"stream": "camera", "rec`, "no object": "[]", "no JSON": "\x00\x01", "wrong type": `{"stream": 5}`,
		"no stream": `{"status": "complete"}`, "bad stream": `{"stream": "../x", "status": "complete"}`,
		"bad status": `{"stream": "camera", "status": "good"}`, "no end": `{"stream": "camera", "status": "complete"}`,
		"figures": `{"stream": "camera", "status": "complete", "end": "2026-01-01T00:00:00Z", "bytes": -5}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			dirs := recordSome(g)
			want := g.entries()
			key := path.Join(dirs[0], media.InfoName)
			g.write(key, []byte(content))
			sum := g.rebuild(nil)
			if len(sum.Problems) != 1 || sum.Problems[0].Where != key || sum.Recordings != len(dirs)-1 || sum.Removed != 0 {
				t.Errorf("summary %+v", sum)
			}
			if got := g.entries(); !slices.Equal(got, want) {
				t.Errorf("the catalogue has\n%s", strings.Join(got, "\n"))
			}
			g.lose()
			if g.rebuild(nil); len(g.entries()) != len(dirs)-1 {
				t.Errorf("an empty catalogue becomes\n%s", strings.Join(g.entries(), "\n"))
			}
		})
	}
	g := newRig(t)
	dirs := recordSome(g)
	g.remove(path.Join(dirs[0], media.InfoName))
	if sum := g.rebuild(nil); len(sum.Problems) != 1 || sum.Removed != 0 || len(g.entries()) != len(dirs) {
		t.Errorf("without recording.json: %+v", sum)
	}
}

// TestRebuildTolerates: unknown fields are left out, and a folder that was moved
// is where it is.
func TestRebuildTolerates(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", nil)
	info := strings.Replace(string(g.read(rec.RecordDir+"/recording.json")), "{", `{"colour": "blue", "record_dir": "elsewhere/1700000000",`, 1)
	g.write("camera/1795367766/recording.json", []byte(strings.Replace(info, `"record_dir": "camera/1795367766"`, `"x": 1`, 1)))
	g.lose()
	if sum := g.rebuild(nil); sum.Added != 1 || len(sum.Problems) > 0 {
		t.Errorf("summary %+v", sum)
	}
	got, err := g.db.Get(t.Context(), rec.RecordDir)
	if err != nil || !Same(got, rec) {
		t.Errorf("the catalogue has %+v, %v", got, err)
	}
}

// TestRebuildRunning: of a recording that is being written the catalogue knows
// more than recording.json; where it knows nothing it is told what there is.
func TestRebuildRunning(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", func(r *media.Recording) { r.Status, r.End, r.Bytes = media.StatusRecording, nil, 5 })
	rec.Bytes = 5000
	if err := g.db.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	want := g.entries()
	sum := g.rebuild(nil)
	if !slices.Equal(sum.Running, []string{rec.RecordDir}) || sum.Updated != 0 || !slices.Equal(g.entries(), want) {
		t.Errorf("summary %+v, the catalogue has %s", sum, g.entries())
	}
	g.lose()
	sum = g.rebuild(nil)
	got, err := g.db.Get(t.Context(), rec.RecordDir)
	if err != nil || got.Status != media.StatusRecording || got.Bytes != 5 || sum.Added != 1 || len(sum.Running) != 1 {
		t.Errorf("summary %+v, the catalogue has %+v, %v", sum, got, err)
	}
}

// TestRebuildBesideNode: a node seals, protects or deletes a recording between
// the moment in which it is read and that in which it is stored. What the node
// wrote stays.
func TestRebuildBesideNode(t *testing.T) {
	const dir = "camera/1795367766"
	for _, status := range []media.Status{media.StatusRecording, media.StatusComplete} {
		for _, deleted := range []bool{false, true} {
			t.Run(fmt.Sprint(status, deleted), func(t *testing.T) {
				g := newRig(t)
				final := g.record(dir, nil)
				old := final
				if status == media.StatusRecording {
					old.Status, old.End = status, nil
				}
				final.Protected = true
				g.writeInfo(old)
				g.lose()
				done := false
				g.store.onGet(func(string) error {
					if done {
						return nil
					}
					done = true
					if deleted {
						g.remove(dir + "/recording.json")
						return g.db.Delete(t.Context(), dir)
					}
					g.writeInfo(final)
					return g.db.Put(t.Context(), final)
				})
				g.rebuild(nil)
				got, err := g.db.Get(t.Context(), dir)
				if deleted && !errors.Is(err, catalogue.ErrNotFound) || !deleted && (err != nil || !Same(got, final)) {
					t.Errorf("the catalogue has %+v, %v", got, err)
				}
			})
		}
	}
}

// TestRebuildEndsDeletions: what was being deleted does not come back.
func TestRebuildEndsDeletions(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	if err := g.db.BeginDelete(t.Context(), dirs[0]); err != nil {
		t.Fatal(err)
	}
	sum := g.rebuild(func(o *RebuildOptions) { o.Partial = true })
	if own, err := objectsIn(t.Context(), g.store, dirs[0]); err != nil || len(own) == 0 || sum.Added+sum.Deleted != 0 {
		t.Errorf("of a storage that may lack something: %+v, left are %v, %v", sum, own, err)
	}
	if left, err := g.db.Deleting(t.Context()); err != nil || len(left) != 1 {
		t.Errorf("being deleted are %q, %v", left, err)
	}
	sum = g.rebuild(nil)
	if sum.Deleted != 1 || sum.Recordings != len(dirs)-1 || len(sum.Problems) > 0 {
		t.Errorf("summary %+v", sum)
	}
	if own, err := objectsIn(t.Context(), g.store, dirs[0]); err != nil || len(own) > 0 {
		t.Errorf("left are %v, %v", own, err)
	}
	if len(g.entries()) != len(dirs)-1 {
		t.Errorf("the catalogue has %s", g.entries())
	}
}

// TestRebuildFails: a storage that fails ends it, and nothing is removed.
func TestRebuildFails(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	want := g.entries()
	g.store.onGet(func(key string) error {
		if strings.HasPrefix(key, dirs[1]) {
			return fault.New(fault.Unavailable, "the bucket is away")
		}
		return nil
	})
	if _, err := Rebuild(t.Context(), RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v", err)
	}
	if got := g.entries(); !slices.Equal(got, want) {
		t.Errorf("the catalogue has %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rebuild(ctx, RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}
