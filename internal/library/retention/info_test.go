package retention

import (
	"path"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// TestProtect: recording.json has it, so that it is true of the storage alone.
func TestProtect(t *testing.T) {
	g := newRig(t, nil)
	g.record(dirOf(0), 0, nil)
	for _, protected := range []bool{true, true, false} {
		rec, err := g.Protect(t.Context(), dirOf(0), protected)
		if err != nil || rec.Protected != protected || rec.Bytes != 1000 || len(rec.Tracks) != 1 {
			t.Fatalf("Protect(%v) = %+v, %v", protected, rec, err)
		}
		stored, err := g.info(t.Context(), dirOf(0))
		if err != nil || stored.Protected != protected || stored.Bytes != 1000 || len(stored.Tracks) != 1 {
			t.Errorf("recording.json has %+v, %v", stored, err)
		}
		if listed, err := g.Recording(t.Context(), dirOf(0)); err != nil || listed.Protected != protected {
			t.Errorf("the catalogue has %+v, %v", listed, err)
		}
		_, err = g.Delete(t.Context(), dirOf(0))
		if protected == (err == nil) {
			t.Errorf("Delete of a recording that is protected, %v: error %v", protected, err)
		}
	}
}

func TestProtectRunning(t *testing.T) {
	g := newRig(t, nil)
	g.live.running[dirOf(0)] = g.record(dirOf(0), 0, func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil })
	rec, err := g.Protect(t.Context(), dirOf(0), true)
	if err != nil || !rec.Protected || !g.live.running[dirOf(0)].Protected {
		t.Errorf("%+v, %v", rec, err)
	}
	if rec, err := g.Recording(t.Context(), dirOf(0)); err != nil || !rec.Protected {
		t.Errorf("Recording = %+v, %v", rec, err)
	}
	g.record(dirOf(1), 1, func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil })
	if _, err := g.Protect(t.Context(), dirOf(1), true); fault.KindOf(err) != fault.Conflict {
		t.Errorf("of another node: error %v", err)
	}
}

func TestProtectFails(t *testing.T) {
	g := newRig(t, nil)
	g.record(dirOf(0), 0, nil)
	for dir, want := range map[string]fault.Kind{"nothing/here": fault.NotFound, "a/../b": fault.Invalid} {
		if _, err := g.Protect(t.Context(), dir, true); fault.KindOf(err) != want {
			t.Errorf("%q: error %v", dir, err)
		}
	}
	for _, op := range []string{"get", "put"} {
		g.store.failWith(func(o, _ string) error {
			if o == op {
				return fault.New(fault.Unavailable, "the bucket is away")
			}
			return nil
		})
		if _, err := g.Protect(t.Context(), dirOf(0), true); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s fails: error %v", op, err)
		}
		if rec, err := g.db.Get(t.Context(), dirOf(0)); err != nil || rec.Protected {
			t.Errorf("%s fails: the catalogue has %+v, %v", op, rec, err)
		}
	}
	g.store.failWith(nil)
	// A damaged recording.json is replaced by what the catalogue knows.
	g.put(path.Join(dirOf(0), media.InfoName), `{"stream":`)
	if rec, err := g.Protect(t.Context(), dirOf(0), true); err != nil || rec.Bytes != 1000 {
		t.Errorf("%+v, %v", rec, err)
	}
	if stored, err := g.info(t.Context(), dirOf(0)); err != nil || !stored.Protected || stored.Bytes != 1000 {
		t.Errorf("recording.json has %+v, %v", stored, err)
	}
}
