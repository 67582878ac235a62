package spool

import (
	"context"
	"log/slog"
	"path"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// strict is a log in which it is a failure that a folder is where the table of
// transitions has no way to.
type strict struct {
	slog.Handler
	t testing.TB
}

func (h strict) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "in which this cannot happen") {
		r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%s: %v", a.Key, a.Value); return true })
	}
	return h.Handler.Handle(ctx, r)
}

// TestTransitions walks the table from a folder that nobody knows.
func TestTransitions(t *testing.T) {
	seen := map[folderState]bool{unclaimed: true}
	for todo := []folderState{unclaimed}; len(todo) > 0; todo = todo[1:] {
		from := todo[0]
		for e := range folderEvents {
			to, ok := transitions[from][e]
			switch {
			case !ok && (e == heldBack || e == infoDeleted):
				t.Errorf("%v: there is no way for %q, which callers may do at any time", from, e)
			case !ok:
				continue
			case from.stays() && !to.stays() && e != createdAlone:
				t.Errorf("%v → %v by %q: what is here would be mixed with another's", from, to, e)
			case e == infoDeleted && to.ours():
				t.Errorf("%v → %v by %q: the next claim would not ask the remote", from, to, e)
			case e == createdAlone && to != claiming:
				t.Errorf("%v → %v by %q", from, to, e)
			case e == denied && to != foreign:
				t.Errorf("%v → %v by %q", from, to, e)
			}
			if !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	for s := range folderStates {
		if !seen[s] {
			t.Errorf("%v is never reached", s)
		}
	}
}

// TestFolderStates takes spools through the states.
func TestFolderStates(t *testing.T) {
	const info, seg = "cam/1/" + media.InfoName, "cam/1/v_seg_0001.m4s"
	type rig struct {
		*Spool
		remote *memRemote
	}
	create := func(t *testing.T, r *rig) { write(t, r.Spool, info, "ours") }
	segment := func(t *testing.T, r *rig) { write(t, r.Spool, seg, "x") }
	state := func(r *rig) folderState {
		r.mu.Lock()
		defer r.mu.Unlock()
		if f := r.queue.folders[path.Dir(info)]; f != nil {
			return f.state
		}
		return unclaimed
	}
	start := func(t *testing.T, r *rig) {
		r.Start()
		await.Until(t, "the folder is claimed", func() bool { return state(r) != claiming || t.Context().Err() != nil })
	}
	hold := func(_ *testing.T, r *rig) { r.Hold(path.Dir(info)) }
	remove := func(t *testing.T, r *rig) {
		if err := r.Delete(t.Context(), info); err != nil {
			t.Fatal(err)
		}
	}
	theirs := func(t *testing.T, r *rig) {
		if err := r.remote.Put(t.Context(), info, strings.NewReader("theirs"), 6); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(t *testing.T, r *rig) {
		if err := r.remote.Delete(t.Context(), info); err != nil {
			t.Fatal(err)
		}
	}
	again := func(t *testing.T, r *rig) {
		closeSpool(t, r.Spool)
		r.Spool = openSpool(t, Options{Dir: r.o.Dir, Remote: r.remote})
	}
	type step struct {
		do   func(*testing.T, *rig)
		want folderState
	}
	for name, steps := range map[string][]step{
		"uploaded":          {{segment, unclaimed}, {create, claiming}, {again, claiming}, {start, claimed}, {remove, unclaimed}},
		"deleted at once":   {{create, claiming}, {segment, claiming}, {remove, unclaimed}},
		"left media":        {{segment, unclaimed}, {again, claimed}, {create, claiming}},
		"another's":         {{create, claiming}, {theirs, claiming}, {start, foreign}, {segment, foreign}, {hold, foreign}, {remove, abandoned}, {gone, abandoned}, {create, foreign}},
		"another's alone":   {{create, claiming}, {theirs, claiming}, {start, foreign}, {remove, abandoned}, {hold, abandoned}, {gone, abandoned}, {create, claiming}},
		"another's, found":  {{create, claiming}, {segment, claiming}, {theirs, claiming}, {start, foreign}, {remove, abandoned}, {again, foreign}},
		"deleted unsettled": {{create, claiming}, {segment, claiming}, {again, claiming}, {theirs, claiming}, {remove, abandoned}},
		"held":              {{create, claiming}, {segment, claiming}, {hold, held}, {remove, abandoned}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rig{remote: newMemRemote()}
			r.Spool = openSpool(t, Options{Remote: r.remote})
			for i, step := range steps {
				step.do(t, r)
				if got := state(r); got != step.want {
					t.Fatalf("step %d leads to %v, want %v", i+1, got, step.want)
				}
			}
		})
	}
}
