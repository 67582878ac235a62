package movie

import (
	"bytes"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// What stands for a lost segment has its time, and decodes: with it the recording is as
// verify wants it, but for the ledger and the sample indexes.
func TestStandIn(t *testing.T) {
	for _, name := range []string{"h264", "vp8"} {
		for _, which := range []string{"first", "middle", "last"} {
			t.Run(name+" "+which, func(t *testing.T) {
				r := record(t, name).copied(t)
				var names []string
				list := func(n string) bool { names = append(names, n); return true }
				source := r.source(t, 0, 0)
				if _, err := FindLost(source, list); err != nil {
					t.Fatal(err)
				}
				for _, track := range []string{"v_", "a_"} {
					var of []string
					for _, n := range names {
						if strings.HasPrefix(n, track) {
							of = append(of, n)
						}
					}
					lose := of[map[string]int{"first": 0, "middle": len(of) / 2, "last": len(of) - 1}[which]]
					r.standsIn(t, source, lose)
				}
				rec, err := verify.CheckRecording(t.Context(), r.store, r.dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range rec.Problems {
					if !strings.HasSuffix(p.Where, ".idx") {
						t.Error(p)
					}
				}
			})
		}
	}
}

// standsIn deletes a segment and puts what stands for it in its place.
func (r *recorded) standsIn(t *testing.T, source Source, name string) {
	t.Helper()
	if err := r.store.Delete(t.Context(), path.Join(r.dir, name)); err != nil {
		t.Fatal(err)
	}
	lost, err := FindLost(source, func(n string) bool { return n != name })
	if err != nil || len(lost) != 1 || lost[0].Name != name {
		t.Fatalf("lost %+v, %v", lost, err)
	}
	data, err := lost[0].StandIn(t.Context(), Opening{Backend: r.store})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Put(t.Context(), path.Join(r.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// Where there is no key frame, no init segment, or too much time, nothing stands for it.
func TestNoStandIn(t *testing.T) {
	r := record(t, "h264").copied(t)
	source := r.source(t, 0, 0)
	all, err := FindLost(source, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	long := all[0]
	long.To = long.From + maxStandIn + time.Second
	refuse := func(why string, l Lost) {
		t.Helper()
		if _, err := l.StandIn(t.Context(), Opening{Backend: r.store}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", why, err)
		}
	}
	refuse("too long", long)
	for _, l := range all {
		if l.Kind == media.Video {
			if err := r.store.Delete(t.Context(), path.Join(r.dir, l.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuse("without a key frame", all[0])
	sound := all[len(all)-1]
	if _, err := sound.StandIn(t.Context(), Opening{Backend: r.store}); err != nil {
		t.Errorf("of sound: %v", err)
	}
	if err := r.store.Delete(t.Context(), path.Join(r.dir, sound.piece.init)); err != nil {
		t.Fatal(err)
	}
	refuse("without its init segment", sound)
}
