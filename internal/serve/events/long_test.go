//go:build !race

package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/config"
)

// TestReceiverThatFails tells 10,000 events to a receiver that is down for ten minutes and
// then fails, hangs or answers late every third time.
func TestReceiverThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, each = 100, 100
		began := time.Now()
		fate := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		h := &hookServer{t: t, answer: func(ctx context.Context, _ int) (int, error) {
			if time.Since(began) < 10*time.Minute {
				return 0, errors.New("connection refused")
			}
			mu.Lock()
			what := fate.IntN(12)
			mu.Unlock()
			switch what {
			case 0:
				return 500, nil
			case 1:
				return 404, nil
			case 2: // it has the event, and says so too late
				<-ctx.Done()
				return 200, ctx.Err()
			case 3: // it hangs
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(time.Duration(what) * 20 * time.Millisecond)
			return 204, nil
		}}
		s := open(t, filepath.Join(t.TempDir(), "q.db"), h, toWebhook("stream.*"))
		for n := range each {
			for i := range streams {
				s.Emit(Event{Type: config.EventStreamStarted, Subject: fmt.Sprintf("s%d", i), Data: n})
			}
			s.flush()
		}
		for waits(t, s) {
			time.Sleep(10 * time.Second)
		}
		took := time.Since(began)
		got := h.taken()
		repeats := inOrder(t, got, each)
		if len(got) != streams*each+repeats || repeats == 0 {
			t.Errorf("%d came, %d of them repeats", len(got), repeats)
		}
		t.Logf("%d events, %d repeats, %d calls, all told after %v", streams*each, repeats, h.calls, took)
		closeIt(t, s)
	})
}
