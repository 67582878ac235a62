package cataloguetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
)

// deletions is a database whose deletions are tested.
type deletions struct {
	*testing.T
	db *catalogue.DB
}

func (d deletions) list(want ...string) {
	d.Helper()
	all, err := d.db.Deletions(d.Context())
	got := []string{}
	for _, one := range all {
		got = append(got, one.RecordDir)
	}
	if err != nil || !slices.Equal(got, append([]string{}, want...)) {
		d.Errorf("%q wait, %v; want %q", got, err, want)
	}
}

func (d deletions) add(dir string, grace time.Duration, want bool) {
	d.Helper()
	one, ok, err := d.db.AddDeletion(d.Context(), dir, "s", grace, 3)
	if err != nil || ok != want || ok && (one.RecordDir != dir || one.Stream != "s" || time.Until(one.At) > 2*time.Hour) {
		d.Errorf("add %s: %+v, %v, %v", dir, one, ok, err)
	}
}

func (d deletions) take(hold time.Duration, want string) {
	d.Helper()
	if one, ok, err := d.db.TakeDeletion(d.Context(), hold); err != nil || ok != (want != "") || one.RecordDir != want {
		d.Errorf("take: %+v, %v, %v; want %q", one, ok, err, want)
	}
}

func (d deletions) drop(dir string, want bool) {
	d.Helper()
	if ok, err := d.db.DropDeletion(d.Context(), dir); err != nil || ok != want {
		d.Errorf("drop %s: %v, %v", dir, ok, err)
	}
}

func (d deletions) next(least, most time.Duration, want bool) {
	d.Helper()
	if in, ok, err := d.db.NextDeletion(d.Context()); err != nil || ok != want || in < least || in > most {
		d.Errorf("next: in %v, %v, %v", in, ok, err)
	}
}

func (d deletions) end(dir string, again time.Duration) {
	d.Helper()
	if err := d.db.EndDeletion(d.Context(), dir, again); err != nil {
		d.Error(err)
	}
}

// testDeletions: what waits can be taken back, what is due is begun once, and what does not
// end is begun again.
func testDeletions(_ context.Context, t *testing.T, db *catalogue.DB) {
	d := deletions{t, db}
	d.list()
	d.next(0, 0, false)
	d.take(time.Hour, "")
	d.add("s/2", 2*time.Hour, true)
	d.add("s/1", time.Hour, true)
	d.add("s/1", 3*time.Hour, true) // changes nothing
	d.list("s/1", "s/2")
	d.next(time.Hour-time.Minute, time.Hour, true)
	d.take(time.Hour, "")
	d.add("s/3", -time.Second, true)
	d.add("s/4", time.Hour, false)
	d.add("s/2", time.Hour, true) // is there, though no more fit
	d.next(-time.Minute, 0, true)
	d.take(time.Hour, "s/3")
	d.take(time.Hour, "")
	d.list("s/1", "s/2")
	d.drop("s/3", false)
	d.drop("s/2", true)
	d.drop("s/2", false)
	d.end("s/3", 0)
	d.list("s/1")
	d.add("s/3", -time.Second, true)
	d.take(-time.Second, "s/3") // and the process dies
	d.take(time.Hour, "s/3")
	d.end("s/3", 30*time.Minute)
	d.list("s/3", "s/1")
	d.drop("s/3", true)
	d.end("s/3", time.Hour) // is no deletion any more
	d.list("s/1")
}
