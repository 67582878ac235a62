package events

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/config"
)

// claimTable is what several programs have claimed, without a database.
type claimTable struct {
	mu   sync.Mutex
	rows map[string]claimRow
	away map[string]bool // holders that do not reach it
}

type claimRow struct {
	holder string
	until  time.Time
	done   bool
}

// memoryClaims are those of one program.
type memoryClaims struct {
	*claimTable
	me string
}

func (c memoryClaims) Claim(_ context.Context, name string, hold time.Duration) (held, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away[c.me] {
		return false, false, errors.New("the database is away")
	}
	now := time.Now()
	if row, ok := c.rows[name]; ok && row.until.After(now) && (row.done || row.holder != c.me) {
		return false, row.done, nil
	}
	c.rows[name] = claimRow{holder: c.me, until: now.Add(hold)}
	return true, false, nil
}

func (c memoryClaims) Release(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row := c.rows[name]; row.holder == c.me && !row.done && !c.away[c.me] {
		delete(c.rows, name)
	}
	return nil
}

func (c memoryClaims) Done(_ context.Context, name string, remember time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away[c.me] {
		c.rows[name] = claimRow{c.me, time.Now().Add(remember), true}
	}
	return nil
}

// two opens the events of two programs that share claims, one for each way to answer.
func two(t *testing.T, hooks ...*hookServer) (all []*Service, claims *claimTable) {
	t.Helper()
	claims = &claimTable{rows: map[string]claimRow{}, away: map[string]bool{}}
	for i, h := range hooks {
		s, err := Open(t.Context(), Options{
			Source: "/live777/test", File: filepath.Join(t.TempDir(), "q.db"), Keep: 72 * time.Hour, Max: 64 << 20, Targets: toWebhook(),
			Logger: slogDiscard, transport: h, Claims: memoryClaims{claims, string(rune('a' + i))},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all, claims
}

// TestToldOnce: of two programs that know the same events, one tells each, in the order of
// its subject, while the receiver fails a third of its calls.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hookServer{t: t}
		h.answer = func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Duration(n%7) * 50 * time.Millisecond)
			if n%3 == 0 {
				return 503, nil
			}
			return 200, nil
		}
		both, _ := two(t, h, h)
		subjects := []string{"a", "b", "c", "d"}
		const each = 20
		for n := range each {
			for _, s := range both {
				for _, subject := range subjects {
					s.Emit(Event{Type: config.EventStreamStarted, Subject: subject, Data: n, ID: IDOf(subject, string(rune('A'+n)))})
				}
			}
		}
		for _, s := range both {
			until(t, "all is told", func() bool { s.flush(); return !waits(t, s) })
		}
		if repeats := inOrder(t, h.taken(), each); repeats != 0 {
			t.Errorf("%d repeats", repeats)
		}
		var told, elsewhere int64
		for _, s := range both {
			one := s.Measure()[0]
			if one.Delivered == 0 || one.Delivered+one.Elsewhere != int64(each*len(subjects)) {
				t.Errorf("%+v", one.Counts)
			}
			told, elsewhere = told+one.Delivered, elsewhere+one.Elsewhere
			closeIt(t, s)
		}
		if told != elsewhere {
			t.Errorf("%d are told, and %d elsewhere", told, elsewhere)
		}
	})
}

// TestTellerDies: what a program was telling when it died, the other one tells soon.
func TestTellerDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead sync.WaitGroup
		dead.Add(1)
		hung := &hookServer{t: t, answer: func(context.Context, int) (int, error) {
			dead.Wait()
			return 0, errors.New("its connection is gone")
		}}
		h := &hookServer{t: t, answer: always(200)}
		both, claims := two(t, hung, h)
		a, b := both[0], both[1]
		e := Event{Type: config.EventStreamStarted, Subject: "camera", Data: 0, ID: "one"}
		a.Emit(e)
		synctest.Wait()
		b.Emit(e)
		time.Sleep(8 * time.Second) // it takes its time, and holds on to it
		if n := len(h.taken()); n != 0 {
			t.Fatalf("the other one told it %d times", n)
		}
		takeAway := func(holder string) {
			claims.mu.Lock()
			defer claims.mu.Unlock()
			claims.away[holder] = true
		}
		takeAway("a") // as if it were dead
		died := time.Now()
		until(t, "the other one tells it", func() bool { return len(h.taken()) == 1 })
		if took := time.Since(died); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		dead.Done()
		closeIt(t, a)
		takeAway("b")
		b.Emit(Event{Type: config.EventStreamEnded, Subject: "camera", Data: 1})
		until(t, "it is told without the claims", func() bool { return len(h.taken()) == 2 })
		closeIt(t, b)
	})
}
