package whip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// listener collects what a subscriber gets.
type listener struct {
	t   *testing.T
	sub *live.Subscription

	mu       sync.Mutex
	changed  chan struct{}
	packets  []*media.Packet
	reports  []*media.SenderReport
	joined   []*live.Publication
	left     int
	discards []*media.Discard
}

// listen subscribes to a stream, as the recorder does.
func (n *node) listen(stream string) *listener {
	n.t.Helper()
	st, err := n.streams.Get(stream)
	if err != nil {
		n.t.Fatal(err)
	}
	sub, err := st.Subscribe(live.SubscribeOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	l := &listener{t: n.t, sub: sub, changed: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run()
	}()
	n.t.Cleanup(func() {
		sub.Close()
		<-done
	})
	return l
}

func (l *listener) run() {
	items := make([]live.Item, 64)
	for {
		n, err := l.sub.Read(context.Background(), items)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				l.t.Errorf("Read: %v", err)
			}
			return
		}
		l.mu.Lock()
		for _, it := range items[:n] {
			switch {
			case it.Packet != nil:
				l.packets = append(l.packets, it.Packet)
			case it.Report != nil:
				l.reports = append(l.reports, it.Report)
			case it.Discarded != nil:
				l.discards = append(l.discards, it.Discarded)
			case it.Joined != nil:
				l.joined = append(l.joined, it.Joined)
			case it.Left:
				l.left++
			}
		}
		l.mu.Unlock()
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// until waits for a condition on what was collected.
func (l *listener) until(what string, ok func() bool) {
	l.t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		done := ok()
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-l.changed:
		case <-timeout:
			l.t.Fatalf("%s: did not happen; there are %s", what, l.summary())
		}
	}
}

func (l *listener) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d packets, %d reports, %d joined, %d left", len(l.packets), len(l.reports), len(l.joined), l.left)
}

// discarded sums what is told of causes that begin so.
func (l *listener) discarded(cause string) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.discards {
		if strings.HasPrefix(d.Cause, cause) {
			n += d.Packets
		}
	}
	return n
}
