package swarm

import (
	"container/heap"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

const (
	connectAtOnce = 8               // streams that connect at the same time
	closeTimeout  = 5 * time.Second // for all streams together
	// overdue is when a frame counts as late: this process could not keep up.
	overdue = 20 * time.Millisecond
)

// Options says what a swarm publishes.
type Options struct {
	URL     string // WHIP endpoint; {n} stands for the number of the stream, from 1
	Token   string // bearer token; empty for none
	Streams int
	Media   *Media
}

// Swarm is many publishers. One goroutine may use it.
type Swarm struct {
	streams []*stream
	readers sync.WaitGroup
	queue   schedule
	last    time.Duration // when consent was last asked for
}

// Stats is what a swarm has done.
type Stats struct {
	Frames, Packets int64
	Bytes           int64 // of RTP payload
	Late            int64 // frames that left more than 20 ms after their time
	NACKs           int64 // packets that servers asked for again: they were lost
}

// Connect makes the sessions of all streams. What it made is ended where one fails.
func Connect(ctx context.Context, o Options) (*Swarm, error) {
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	w := &Swarm{}
	for n := 1; n <= o.Streams; n++ {
		s, err := newStream(expand(o.URL, n), o.Token, o.Media)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.streams = append(w.streams, s)
		w.readers.Go(s.read)
	}
	if err := w.connect(ctx, certificate); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// connect connects all streams, some at a time.
func (w *Swarm) connect(ctx context.Context, certificate tls.Certificate) error {
	errs := make([]error, len(w.streams))
	places := make(chan struct{}, connectAtOnce)
	var all sync.WaitGroup
	for i, s := range w.streams {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs[i] = s.connect(ctx, certificate)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Run sends for some time, or until ctx ends, and says what was sent in it. It may be
// called again, and goes on then as if the time between had not been.
func (w *Swarm) Run(ctx context.Context, d time.Duration) (Stats, error) {
	var stats Stats
	asked := w.nacks()
	start := time.Now()
	begin := w.arrange()
	for ctx.Err() == nil {
		next := w.queue[0]
		due := next.at() - begin
		if due >= d {
			break
		}
		now := time.Since(start)
		if wait := due - now; wait > 0 {
			time.Sleep(wait)
			continue
		}
		if now-due > overdue {
			stats.Late++
		}
		stats.Frames++
		frame := &next.track.frames[next.track.next]
		stats.Packets += int64(len(frame.payloads))
		stats.Bytes += int64(frame.bytes)
		if err := next.stream.send(next.track, time.Now()); err != nil {
			return stats, fmt.Errorf("send to %s: %w", next.stream.remote.address, err)
		}
		heap.Fix(w.queue, 0)
		if err := w.keepAlive(due + begin); err != nil {
			return stats, err
		}
	}
	stats.NACKs = w.nacks() - asked
	return stats, ctx.Err()
}

// arrange puts the tracks of all streams in order, spread over the time of a frame, and
// returns the time of the first.
func (w *Swarm) arrange() time.Duration {
	if w.queue == nil {
		for i, s := range w.streams {
			for _, t := range s.tracks {
				offset := t.frames[0].duration * time.Duration(i) / time.Duration(len(w.streams))
				w.queue = append(w.queue, turn{s, t, offset})
			}
		}
		heap.Init(w.queue)
	}
	return w.queue[0].at()
}

// keepAlive keeps the servers' consent, now and then.
func (w *Swarm) keepAlive(at time.Duration) error {
	if at-w.last < consentEvery {
		return nil
	}
	w.last = at
	for _, s := range w.streams {
		if err := s.sendCheck(); err != nil {
			return fmt.Errorf("keep the session with %s: %w", s.remote.address, err)
		}
	}
	return nil
}

// nacks is how many packets servers have asked for again.
func (w *Swarm) nacks() (sum int64) {
	for _, s := range w.streams {
		sum += s.nacks.Load()
	}
	return sum
}

// Close ends all sessions.
func (w *Swarm) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	errs := make([]error, len(w.streams))
	var all sync.WaitGroup
	for i, s := range w.streams {
		all.Go(func() { errs[i] = s.close(ctx) })
	}
	all.Wait()
	w.readers.Wait()
	return errors.Join(errs...)
}

// turn is a track that sends at its time.
type turn struct {
	stream *stream
	track  *track
	offset time.Duration
}

func (t turn) at() time.Duration { return t.track.at + t.offset }

// schedule has the turn that comes next first.
type schedule []turn

func (q schedule) Len() int           { return len(q) }
func (q schedule) Less(i, j int) bool { return q[i].at() < q[j].at() }
func (q schedule) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface; nothing is added to a schedule.
func (q schedule) Push(any) {}

// Pop implements heap.Interface; nothing is taken out of a schedule.
func (q schedule) Pop() any { return nil }

// expand puts the number of a stream into the endpoint.
func expand(url string, n int) string {
	return strings.ReplaceAll(url, "{n}", strconv.Itoa(n))
}
