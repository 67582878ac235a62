package maintain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

func TestVerifyGood(t *testing.T) {
	g := newRig(t)
	dirs := recordSome(g)
	g.write("camera/notes.txt", []byte("mine"))
	g.record("hall/failed", func(r *media.Recording) { r.Status, r.Duration, r.Bytes = media.StatusFailed, 0, 0 })
	for _, name := range []string{"manifest.mpd", "v_init.m4s", "a_init.m4s", "v_seg_0001.m4s", "v_seg_0002.m4s", "v_seg_0003.m4s", "a_seg_0001.m4s", "a_seg_0002.m4s", "a_seg_0003.m4s"} {
		g.remove("hall/failed/" + name) // nothing was written
	}
	found, sum, err := g.verify(nil)
	if err != nil {
		t.Fatal(err)
	}
	for dir, f := range found {
		if len(f.Problems) > 0 || f.Error != "" || f.Orphans > 0 {
			t.Errorf("%s: %+v", dir, f)
		}
	}
	if sum.Recordings != len(dirs)+1 || sum.Bad != 0 || sum.Foreign != 1 || sum.Bytes != int64(len(dirs))*found[dirs[0]].Bytes || found[dirs[0]].Bytes == 0 {
		t.Errorf("summary %+v", sum)
	}
}

// TestVerifyDamage: each kind of damage is found, and only where it is.
func TestVerifyDamage(t *testing.T) {
	const dir, good = "camera/1795367766", "camera/1795367770"
	// within changes the bytes of an object from those behind the n-th occurrence of a text on.
	within := func(name, text string, n, offset int, value byte) func(*rig) {
		return func(g *rig) {
			data := bytes.Clone(g.read(dir + "/" + name))
			at := 0
			for range n {
				i := bytes.Index(data[at:], []byte(text))
				if i < 0 {
					g.t.Fatalf("%s has fewer than %d %q", name, n, text)
				}
				at += i + len(text)
			}
			data[at+offset] ^= value
			g.write(dir+"/"+name, data)
		}
	}
	info := func(change func(*media.Recording)) func(*rig) {
		return func(g *rig) {
			rec, _, err := readInfo(g.t.Context(), g.store, dir)
			if err != nil {
				g.t.Fatal(err)
			}
			change(&rec)
			g.writeInfo(rec)
			if err := g.db.Put(g.t.Context(), rec); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		damage func(*rig)
		want   string
	}{
		"segment deleted":       {func(g *rig) { g.remove(dir + "/v_seg_0002.m4s") }, dir + "/v_seg_0002.m4s: the manifest names it, but it does not exist"},
		"init deleted":          {func(g *rig) { g.remove(dir + "/a_init.m4s") }, dir + "/a_init.m4s: the manifest names it, but it does not exist"},
		"manifest deleted":      {func(g *rig) { g.remove(dir + "/manifest.mpd") }, dir + "/manifest.mpd: does not exist"},
		"info deleted":          {func(g *rig) { g.remove(dir + "/recording.json") }, dir + ": 9 objects with"},
		"info torn":             {func(g *rig) { g.write(dir+"/recording.json", []byte(`{"stream":`)) }, dir + "/recording.json: recording.json cannot be read"},
		"info moved":            {func(g *rig) { g.write(dir+"/recording.json", g.read(good+"/recording.json")) }, dir + "/recording.json: says that the recording is in another folder"},
		"manifest torn":         {func(g *rig) { g.write(dir+"/manifest.mpd", g.read(dir + "/manifest.mpd")[:300]) }, dir + "/manifest.mpd: "},
		"truncated":             {func(g *rig) { g.write(dir+"/a_seg_0002.m4s", g.read(dir + "/a_seg_0002.m4s")[:9000]) }, dir + "/a_seg_0002.m4s: cannot be decoded"},
		"truncated to nothing":  {func(g *rig) { g.write(dir+"/a_seg_0002.m4s", nil) }, dir + "/a_seg_0002.m4s: "},
		"longer":                {func(g *rig) { g.write(dir+"/a_seg_0002.m4s", append(g.read(dir+"/a_seg_0002.m4s"), 0)) }, dir + "/a_seg_0002.m4s: "},
		"wrong size":            {info(func(r *media.Recording) { r.Bytes++ }), dir + "/recording.json: says 65324 bytes, the files have 65323"},
		"wrong duration":        {info(func(r *media.Recording) { r.Duration += 0.5 }), dir + "/recording.json: says that it lasts 3.500 s, the manifest 3.000 s"},
		"moof: its size":        {within("v_seg_0001.m4s", "moof", 1, -5, 0x10), dir + "/v_seg_0001.m4s: "},
		"moof: sequence number": {within("v_seg_0002.m4s", "mfhd", 1, 7, 0x80), dir + "/v_seg_000"},
		"moof: time":            {within("v_seg_0002.m4s", "tfdt", 1, 11, 1), dir + "/v_seg_0002.m4s: "},
		"moof: track":           {within("v_seg_0002.m4s", "tfhd", 1, 7, 8), dir + "/v_seg_0002.m4s: track"},
		"moof: data offset":     {within("v_seg_0002.m4s", "trun", 1, 11, 1), dir + "/v_seg_0002.m4s: "},
		"moof: type":            {within("v_seg_0002.m4s", "tra", 1, 0, 1), dir + "/v_seg_0002.m4s: "},
		"mdat: length of a NAL": {within("v_seg_0002.m4s", "mdat", 1, 1, 1), dir + "/v_seg_0002.m4s: sample"},
		"swapped": {func(g *rig) {
			one, two := g.read(dir+"/v_seg_0001.m4s"), g.read(dir+"/v_seg_0002.m4s")
			g.write(dir+"/v_seg_0001.m4s", two)
			g.write(dir+"/v_seg_0002.m4s", one)
		}, dir + "/v_seg_0001.m4s: "},
		"extra segment": {func(g *rig) { g.write(dir+"/v_seg_0099.m4s", g.read(dir+"/v_seg_0001.m4s")) }, dir + "/v_seg_0099.m4s: exists, but the manifest does not name it"},
		"orphans":       {func(g *rig) { g.write("lost/v_seg_0001.m4s", []byte("x")) }, "lost: 1 objects with 1 bytes are of no recording"},
		"abandoned":     {info(func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil }), dir + `/recording.json: is not sealed, and nothing was written for`},
		"not static": {func(g *rig) {
			g.write(dir+"/manifest.mpd", bytes.Replace(g.read(dir+"/manifest.mpd"), []byte(`type="static"`), []byte(`type="dynamic"`), 1))
		}, dir + "/manifest.mpd: is that of a recording that runs"},
		"not in the catalogue": {func(g *rig) {
			if err := g.db.Delete(g.t.Context(), dir); err != nil {
				g.t.Fatal(err)
			}
		}, dir + ": is not in the catalogue"},
		"row differs": {func(g *rig) {
			rec, err := g.db.Get(g.t.Context(), dir)
			rec.Status, rec.Protected = media.StatusDegraded, true
			if err := errors.Join(err, g.db.Put(g.t.Context(), rec)); err != nil {
				g.t.Fatal(err)
			}
		}, dir + ": the catalogue says something else (protected, status)"},
		"row without storage": {func(g *rig) {
			rec, err := g.db.Get(g.t.Context(), dir)
			rec.RecordDir = "camera/gone"
			if err := errors.Join(err, g.db.Put(g.t.Context(), rec)); err != nil {
				g.t.Fatal(err)
			}
		}, "camera/gone: is in the catalogue and not in storage"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.record(dir, nil)
			g.record(good, nil)
			test.damage(g)
			g.age(-24 * time.Hour)
			found, sum, err := g.verify(nil)
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, f := range found {
				for _, p := range f.Problems {
					problems = append(problems, p.String())
				}
				if f.Error != "" {
					t.Errorf("%s could not be checked: %s", f.RecordDir, f.Error)
				}
			}
			all := "\n" + strings.Join(problems, "\n")
			if !strings.Contains(all, "\n"+test.want) {
				t.Errorf("found:%s\nwant %s", all, test.want)
			}
			if f := found[good]; len(f.Problems) > 0 {
				t.Errorf("the other recording has %v", f.Problems)
			}
			if sum.Bad != 1 || sum.Problems != len(problems) {
				t.Errorf("summary %+v", sum)
			}
		})
	}
}

// TestVerifyDecodes: what is well formed may still be no picture.
func TestVerifyDecodes(t *testing.T) {
	g := newRig(t)
	good, bad := g.record("camera/1795367766", nil).RecordDir, g.record("camera/1795367770", nil).RecordDir
	data := bytes.Clone(g.read(bad + "/v_seg_0002.m4s"))
	clear(data[len(data)-60:])
	g.write(bad+"/v_seg_0002.m4s", data)
	decoder, err := verify.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*verify.Decoder{nil, decoder} {
		found, sum, err := g.verify(func(o *VerifyOptions) { o.Decoder = d })
		if err != nil || len(found[good].Problems) > 0 || len(found[bad].Problems) > 0 != (d != nil) {
			t.Errorf("decoded %v: %+v, %v", d != nil, sum, err)
		}
		if f := found[good]; len(f.Players) != 4 || f.Players[0].Picture != 3 || f.Players[1].Less(f.Players[0]) {
			t.Errorf("players %+v", f.Players)
		}
		if f := found[good]; (f.Decoded != nil) != (d != nil) || d != nil && (f.Decoded.Picture != 3 || f.Decoded.Sound < 2.97) {
			t.Errorf("decoded %+v", f.Decoded)
		}
	}
}

// age sets the times of all files to some time from when the fixture was recorded.
func (g *rig) age(by time.Duration) {
	g.t.Helper()
	err := filepath.WalkDir(g.root, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(name, recorded.Add(by), recorded.Add(by)))
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// TestVerifyRunning: a recording that is being written is no problem, nor that its
// row is newer.
func TestVerifyRunning(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", func(r *media.Recording) { r.Status, r.End, r.Bytes = media.StatusRecording, nil, 0 })
	g.remove(rec.RecordDir + "/manifest.mpd")
	rec.Bytes = 7
	if err := g.db.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	g.age(time.Hour - idle/2)
	found, sum, err := g.verify(nil)
	if err != nil || len(found) != 1 || len(found[rec.RecordDir].Problems) > 0 || sum.Running != 1 || sum.Bad != 0 {
		t.Errorf("%+v, %+v, %v", found, sum, err)
	}
}

// TestVerifyPrefixes: only what is asked for, in storage and in the catalogue.
func TestVerifyPrefixes(t *testing.T) {
	g := newRig(t)
	recordSome(g)
	for _, dir := range []string{"camera", "camera/1795367766", "hall/shared/1795367766"} {
		g.remove(dir + "/v_seg_0001.m4s")
	}
	gone := g.record("hallway/1795367766", nil)
	if err := os.RemoveAll(filepath.Join(g.root, "hallway")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		prefixes []string
		folders  int
		bad      int
	}{
		{nil, 6, 4},
		{[]string{"camera"}, 3, 2},
		{[]string{"camera/1795367766"}, 1, 1},
		{[]string{"hall"}, 2, 1},
		{[]string{"hall", "camera/1795367770"}, 3, 1},
		{[]string{gone.RecordDir}, 1, 1},
		{[]string{"nothing"}, 0, 0},
	} {
		found, sum, err := g.verify(func(o *VerifyOptions) { o.Prefixes = test.prefixes })
		if err != nil || len(found) != test.folders || sum.Bad != test.bad {
			t.Errorf("%q: %d folders, %d bad, %v; want %d and %d", test.prefixes, len(found), sum.Bad, err, test.folders, test.bad)
		}
	}
	if _, _, err := g.verify(func(o *VerifyOptions) { o.Prefixes = []string{"../x"} }); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a prefix that is no path: %v", err)
	}
}

// TestVerifyPartial: what nodes have still to upload is no problem.
func TestVerifyPartial(t *testing.T) {
	g := newRig(t)
	rec := g.record("camera/1795367766", nil)
	if err := os.RemoveAll(filepath.Join(g.root, "camera")); err != nil {
		t.Fatal(err)
	}
	found, sum, err := g.verify(func(o *VerifyOptions) { o.Partial = true })
	if err != nil || sum.Bad != 0 || found[rec.RecordDir].Note == "" {
		t.Errorf("%+v, %+v, %v", found, sum, err)
	}
}

// TestVerifyUnchecked: a storage that fails is not a damaged recording.
func TestVerifyUnchecked(t *testing.T) {
	for name, fails := range map[string]string{"info": "recording.json", "manifest": "manifest.mpd", "segment": "v_seg_0002.m4s"} {
		g := newRig(t)
		dirs := recordSome(g)
		g.store.onGet(func(key string) error {
			if key == dirs[0]+"/"+fails {
				return fault.New(fault.Unavailable, "the bucket is away")
			}
			return nil
		})
		found, sum, err := g.verify(nil)
		if err != nil || sum.Unchecked != 1 || sum.Bad != 0 || !strings.Contains(found[dirs[0]].Error, "the bucket is away") {
			t.Errorf("%s: %+v, %+v, %v", name, found[dirs[0]], sum, err)
		}
	}
	g := newRig(t)
	recordSome(g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, VerifyOptions{Backend: g.store, Catalogue: g.db}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// TestVerifyBesideNode: a recording that is deleted, or sealed, while it is
// checked is no problem.
func TestVerifyBesideNode(t *testing.T) {
	const dir = "camera/1795367766"
	g := newRig(t)
	g.record(dir, nil)
	g.store.onGet(func(key string) error {
		if strings.HasSuffix(key, "v_seg_0001.m4s") {
			if err := g.db.Delete(t.Context(), dir); err != nil {
				return err
			}
			return os.RemoveAll(filepath.Join(g.root, "camera"))
		}
		return nil
	})
	if found, sum, err := g.verify(nil); err != nil || len(found) != 0 || sum.Bad != 0 {
		t.Errorf("deleted: %+v, %+v, %v", found, sum, err)
	}

	g = newRig(t)
	final := g.record(dir, nil)
	old := final
	old.Status, old.End = media.StatusRecording, nil
	g.writeInfo(old)
	g.age(-24 * time.Hour)
	g.store.onGet(func(key string) error {
		if strings.HasSuffix(key, "v_seg_0001.m4s") {
			g.writeInfo(final)
		}
		return nil
	})
	if found, sum, err := g.verify(nil); err != nil || sum.Recordings != 1 || sum.Bad != 0 {
		t.Errorf("sealed: %+v, %+v, %v", found, sum, err)
	}

	g = newRig(t)
	g.record(dir, nil)
	if err := g.db.BeginDelete(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	g.remove(dir + "/recording.json")
	if found, sum, err := g.verify(nil); err != nil || sum.Bad != 0 || found[dir].Note != "is being deleted" {
		t.Errorf("being deleted: %+v, %+v, %v", found, sum, err)
	}
}

// TestDamagedErrors: what is wrong with an object is told from a storage that fails.
func TestDamagedErrors(t *testing.T) {
	for err, want := range map[error]bool{
		fault.New(fault.Invalid, "x"):              true,
		fmt.Errorf("get: %w", storage.ErrNotFound): true,
		fault.New(fault.Unavailable, "x"):          false,
		storage.ErrDenied:                          false,
		fmt.Errorf("read: %w", context.Canceled):   false,
	} {
		if damaged(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
