package live

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadWithin: a reader that need not be prompt gets what came in a while together, is
// not kept waiting by a stream that is silent, and comes at once when it is asked to.
func TestReadWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gather, within = 50 * time.Millisecond, 200 * time.Millisecond
		s := New(Options{})
		defer s.Close()
		pub := publish(t, s, "a", &publisher{})
		sub := subscribe(t, s, "a", SubscribeOptions{Gather: gather})
		began := time.Now()
		after := func(d time.Duration, f func()) {
			time.AfterFunc(d-time.Since(began), f)
		}
		expect := func(what string, items int, at time.Duration, want error) {
			t.Helper()
			n, err := sub.ReadWithin(t.Context(), within, make([]Item, 10))
			if n != items || !errors.Is(err, want) || time.Since(began) != at {
				t.Fatalf("%s: %d items and %v after %v, want %d, %v, %v", what, n, err, time.Since(began), items, want, at)
			}
		}
		for _, at := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 45 * time.Millisecond} {
			after(at, func() { pub.WritePacket(packet(uint16(at.Milliseconds()), 10)) })
		}
		expect("Joined and three packets", 4, gather, nil)
		after(200*time.Millisecond, func() { pub.WritePacket(packet(50, 10)) })
		expect("a packet of a seldom stream", 1, 200*time.Millisecond, nil)
		expect("silence", 0, 200*time.Millisecond+gather+within, nil)
		after(460*time.Millisecond, sub.Interrupt)
		expect("interrupted while it gathers", 0, 460*time.Millisecond, nil)
		after(600*time.Millisecond, sub.Interrupt)
		expect("interrupted while it waits", 0, 600*time.Millisecond, nil)
		sub.Interrupt()
		expect("interrupted before", 0, 600*time.Millisecond, nil)
		after(610*time.Millisecond, sub.Close)
		expect("closed", 0, 610*time.Millisecond, io.EOF)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		sub = subscribe(t, s, "a", SubscribeOptions{Gather: gather})
		if n, err := sub.ReadWithin(ctx, within, make([]Item, 10)); n != 1 || err != nil {
			t.Errorf("%d items, %v: want what waits though the context has ended", n, err)
		}
		if _, err := sub.ReadWithin(ctx, within, make([]Item, 10)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
	})
}
