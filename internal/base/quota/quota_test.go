package quota

import (
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

func count(sessions, publishers, viewers, recordings int) Counts {
	return Counts{sessions, publishers, viewers, recordings}
}

// TestTake holds who is refused by which limit.
func TestTake(t *testing.T) {
	q := New(Options{
		All:  Limits{Count: count(6, 0, 0, 0)},
		Each: Limits{Count: count(0, 2, 0, 0)},
		Rules: []Rule{
			{Streams: "web-*", Limits: Limits{Count: count(0, 0, 1, 0)}},
			{Owner: "account ann", Limits: Limits{Count: count(1, 0, 0, 0)}},
		},
	})
	take := func(owner, stream string, what ...Kind) (*Ticket, error) {
		return q.Take(owner, stream, append(what, Sessions)...)
	}
	must := func(owner, stream string, what ...Kind) *Ticket {
		t.Helper()
		ticket, err := take(owner, stream, what...)
		if err != nil {
			t.Fatalf("%s, %s: %v", owner, stream, err)
		}
		return ticket
	}
	refused := func(kind fault.Kind, says, owner, stream string, what ...Kind) {
		t.Helper()
		if _, err := take(owner, stream, what...); fault.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
			t.Errorf("%s, %s: %v", owner, stream, err)
		}
	}
	first := must("token a", "1", Publishers)
	must("token a", "2", Publishers)
	refused(fault.TooMany, "these credentials is 2 publishers", "token a", "3", Publishers)
	must("token b", "3", Publishers)
	must("", "web-1", Viewers)
	refused(fault.TooMany, "a rule for it is 1 viewers", "token a", "web-2", Viewers)
	must("account ann", "4", Viewers)
	refused(fault.TooMany, "1 sessions", "account ann", "5", Viewers)
	must("", "5", Viewers)
	refused(fault.Unavailable, "the node is 6 sessions", "", "6", Viewers)
	first.Release()
	first.Release()
	must("token a", "3", Publishers)
	refused(fault.Unavailable, "the node", "", "6", Viewers)
	want := map[Refusal]int64{{"owner", "publishers"}: 1, {"rule", "viewers"}: 1, {"rule", "sessions"}: 1, {"node", "sessions"}: 2}
	got := q.Refused()
	for r, n := range want {
		if got[r] != n {
			t.Errorf("refused %+v: %d, want %d", r, got[r], n)
		}
	}
}

// TestOwnersAreForgotten: who has nothing costs nothing, refused or not.
func TestOwnersAreForgotten(t *testing.T) {
	q := New(Options{Each: Limits{Count: count(1, 0, 0, 0)}})
	a, err := q.Take("a", "s", Sessions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Take("a", "s", Sessions); err == nil {
		t.Error("more than the limit")
	}
	a.Release()
	if len(q.owners) > 0 {
		t.Errorf("%d owners are kept", len(q.owners))
	}
}

func TestBitrate(t *testing.T) {
	now := time.Unix(1000, 0)
	q := New(Options{All: Limits{StreamBitrate: 3_000_000, Bitrate: 4_000_000}, Now: func() time.Time { return now }})
	take := func() *Ticket {
		ticket, err := q.Take("", "s", Publishers)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	a, b := take(), take()
	run := func(kbitA, kbitB int64) (saysA, saysB string) {
		for range 2 * meterSpan / time.Second {
			now = now.Add(time.Second)
			saysA, saysB = a.Received(kbitA*1000/8), b.Received(kbitB*1000/8)
		}
		return saysA, saysB
	}
	if x, y := run(1000, 2000); x+y != "" {
		t.Errorf("within the limits: %s %s", x, y)
	}
	if x, y := run(1000, 3500); x != "" || !strings.Contains(y, "limit of a stream is 3000") {
		t.Errorf("one is too much: %q %q", x, y)
	}
	if x, y := run(1500, 2900); x != "" || !strings.Contains(y, "limit of the node is 4000") {
		t.Errorf("both together: %q %q", x, y)
	}
	if _, err := q.Take("", "other", Publishers); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "4000 kbit/s") {
		t.Errorf("one more: %v", err)
	}
	if _, err := q.Take("", "other", Viewers); err != nil {
		t.Errorf("a viewer: %v", err)
	}
}

func TestNoQuotas(t *testing.T) {
	var q *Quotas
	ticket, err := q.Take("a", "s", Sessions)
	if err != nil || ticket.Received(1<<40) != "" || q.Refused() != nil {
		t.Errorf("%v", err)
	}
	ticket.Release()
}
