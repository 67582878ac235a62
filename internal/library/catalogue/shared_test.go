package catalogue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
)

// TestShared: two programs agree by one database.
func TestShared(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database()
	a, b := open(t, url), open(t, url)
	ctx := t.Context()
	if alone := open(t, "sqlite://:memory:"); alone.Shared() || !a.Shared() {
		t.Error("it is not told who shares a database")
	}

	got := make([]string, 20)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			db, node := a, "n1"
			if i%2 == 1 {
				db, node = b, "n2"
			}
			var err error
			if got[i], err = db.Place(ctx, "cam", node, "", time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.Sort(got); got[0] != got[len(got)-1] {
		t.Errorf("they do not agree: %v", got)
	}
	for _, step := range []struct {
		node, instead string
		fresh         time.Duration
		want          string
	}{{"n3", "", time.Hour, got[0]}, {"n3", got[0], time.Hour, "n3"}, {"n4", "", -time.Hour, "n4"}} {
		if placed, err := a.Place(ctx, "cam", step.node, step.instead, step.fresh); err != nil || placed != step.want {
			t.Errorf("%+v: %q %v", step, placed, err)
		}
	}
	err := b.Displace(ctx, "cam", "n1")
	if placed, err2 := b.Placed(ctx, "cam", time.Hour); placed != "n4" || errors.Join(err, err2) != nil {
		t.Errorf("placed at %q: %v %v", placed, err, err2)
	}
	err = a.Displace(ctx, "cam", "n4")
	if placed, err2 := b.Placed(ctx, "cam", time.Hour); placed != "" || errors.Join(err, err2) != nil {
		t.Errorf("displaced, at %q: %v %v", placed, err, err2)
	}

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := a.Placed(ended, "cam", time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was ended: %v", err)
	}
}

// TestClaims: what one does, no other does.
func TestClaims(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database()
	a, b := open(t, url).Claims(), open(t, url).Claims()
	ctx := t.Context()
	claims := func(who string, c *Claims, hold time.Duration, wantHeld, wantDone bool) {
		t.Helper()
		if held, done, err := c.Claim(ctx, "x", hold); held != wantHeld || done != wantDone || err != nil {
			t.Errorf("%s claims: %v %v %v", who, held, done, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	claims("the first", a, time.Hour, true, false)
	claims("the first again", a, time.Hour, true, false)
	claims("another", b, time.Hour, false, false)
	must(b.Release(ctx, "x")) // which is not its
	claims("another", b, time.Hour, false, false)
	must(a.Release(ctx, "x"))
	claims("another, when it was given back", b, -time.Hour, true, false)
	claims("the first, when its time was over", a, time.Hour, true, false)
	must(a.Done(ctx, "x", time.Hour))
	must(b.Forget(ctx))
	claims("the first, when it is done", a, time.Hour, false, true)
	claims("another, when it is done", b, time.Hour, false, true)
	must(a.Done(ctx, "x", -time.Hour))
	must(b.Forget(ctx))
	claims("another, when that is forgotten", b, time.Hour, true, false)
}

// TestNodeEvents: what several programs tell of nodes has one order, and nothing is told twice.
func TestNodeEvents(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database()
	a, b := open(t, url), open(t, url)
	ctx := t.Context()
	add := func(db *DB, node, kind string) {
		t.Helper()
		if err := db.AddNodeEvent(ctx, node, kind, []byte(`{"node":"`+node+`"}`)); err != nil {
			t.Error(err)
		}
	}
	list := func(db *DB, after int64, limit int) (got []string) {
		t.Helper()
		all, err := db.NodeEvents(ctx, after, limit)
		if err != nil {
			t.Error(err)
		}
		for _, e := range all {
			got = append(got, fmt.Sprint(e.N, " ", e.Node, " ", e.Kind))
			if string(e.Data) != `{"node":"`+e.Node+`"}` || time.Since(e.At).Abs() > time.Hour {
				t.Errorf("%+v", e)
			}
		}
		return got
	}
	for range 2 {
		add(a, "n1", "down")
		add(b, "n1", "down")
		add(b, "n2", "down")
	}
	add(b, "n1", "up")
	want := []string{"1 n1 down", "2 n2 down", "3 n1 up"}
	if got := list(a, 0, 10); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := list(b, 1, 1); !slices.Equal(got, want[1:2]) {
		t.Errorf("got %q", got)
	}
	if last, err := a.LastNodeEvents(ctx); err != nil || len(last) != 2 || last[0].Kind != "up" || last[1].Kind != "down" {
		t.Errorf("%+v, %v", last, err)
	}
	for _, step := range []struct {
		keep  time.Duration
		known []string
		want  []string
	}{{time.Hour, nil, want}, {-time.Hour, []string{"n1", "n2"}, want[1:]}, {-time.Hour, []string{}, want[2:]}} {
		if err := b.ForgetNodeEvents(ctx, step.keep, step.known); err != nil {
			t.Error(err)
		}
		if got := list(a, 0, 10); !slices.Equal(got, step.want) {
			t.Errorf("after %+v: %q", step, got)
		}
	}

	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { add([]*DB{a, b}[i%2], fmt.Sprint("m", i), "down") })
	}
	wg.Wait()
	all, err := a.NodeEvents(ctx, 3, 100)
	for i, e := range all {
		if e.N != int64(i+4) {
			t.Errorf("a gap before %d", e.N)
		}
	}
	if err != nil || len(all) == 0 {
		t.Error("none was added", err)
	}
}
