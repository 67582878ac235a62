// Package live has the streams of this node: each has at most one publisher and
// any number of subscribers, and no subscriber can slow the publisher or another
// subscriber down.
package live

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// The errors that callers branch on. What is returned wraps them and names the
// stream.
var (
	ErrNotFound   = fault.New(fault.NotFound, "no such stream").Coded("stream_unknown")
	ErrExists     = fault.New(fault.Conflict, "the stream exists already").Coded("stream_exists")
	ErrPublishing = fault.New(fault.Conflict, "the stream has a publisher already: end that session first or use another stream").Coded("stream_taken")
	ErrClosed     = fault.New(fault.Unavailable, "the node is shutting down").Coded("shutting_down")
)

// DefaultKeyFrameInterval is the default of Options.KeyFrameInterval.
const DefaultKeyFrameInterval = 500 * time.Millisecond

// Options configures New. The zero value is usable.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger receives the comings and goings of publishers; nil means slog.Default().
	Logger *slog.Logger
	// KeyFrameInterval is the least time between two key frame requests for one
	// track; 0 means DefaultKeyFrameInterval.
	KeyFrameInterval time.Duration
	// OnPublish is called synchronously by Publish, before the publisher can
	// write its first packet. It may subscribe to the stream; it must not block.
	OnPublish func(*Stream)
	// OnLeave is told of each publication that ends, before the stream can have another
	// one. The stream is locked meanwhile: it must not block, nor use the stream.
	OnLeave func(stream string, session SessionInfo)
	// MaxStreams bounds the streams; 0 is no bound.
	MaxStreams int
	// Keeper returns what keeps the parameter sets of a track, nil for none; nil
	// keeps none of any track.
	Keeper func(media.Track) Keeper
}

// Keeper keeps what a sender may tell once, for subscribers that come later.
type Keeper interface {
	// Observe looks at the payload of the track's next packet, and must cost next to
	// nothing. It keeps nothing of the payload itself.
	Observe(payload []byte)
	// Kept returns payloads of packets that tell what is kept. It may be called by
	// any goroutine, also while Observe is.
	Kept() [][]byte
}

// Streams is the set of streams of a node. It is safe for concurrent use.
//
// Locks are taken in the order Streams.mu, Stream.mu, Subscription.mu; no
// callback but OnLeave is called with one of them held.
type Streams struct {
	now              func() time.Time
	log              *slog.Logger
	keyFrameInterval time.Duration
	onPublish        func(*Stream)
	onLeave          func(stream string, session SessionInfo)
	keeper           func(media.Track) Keeper
	maxStreams       int
	watches          watches
	traffic          traffic
	refused          atomic.Int64 // streams for which there was no room

	mu      sync.Mutex
	streams map[string]*Stream
	closed  bool
}

// New returns an empty set of streams.
func New(o Options) *Streams {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.KeyFrameInterval <= 0 {
		o.KeyFrameInterval = DefaultKeyFrameInterval
	}
	if o.OnPublish == nil {
		o.OnPublish = func(*Stream) {}
	}
	if o.OnLeave == nil {
		o.OnLeave = func(string, SessionInfo) {}
	}
	if o.Keeper == nil {
		o.Keeper = func(media.Track) Keeper { return nil }
	}
	return &Streams{
		now:              o.Now,
		log:              o.Logger,
		keyFrameInterval: o.KeyFrameInterval,
		onPublish:        o.OnPublish,
		onLeave:          o.OnLeave,
		keeper:           o.Keeper,
		maxStreams:       o.MaxStreams,
		streams:          make(map[string]*Stream),
	}
}

// Create makes a stream that stays until Delete, with or without a publisher.
// It fails with ErrExists, with ErrClosed, or with a fault.Invalid for an
// unusable id.
func (s *Streams) Create(id string) (*Stream, error) {
	if err := media.CheckNewStreamID(id); err != nil {
		return nil, err
	}
	st, err := s.create(id)
	if err != nil {
		return nil, fmt.Errorf("create stream %q: %w", id, err)
	}
	s.watches.notify()
	return st, nil
}

func (s *Streams) create(id string) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if _, ok := s.streams[id]; ok {
		return nil, ErrExists
	}
	if err := s.room(); err != nil {
		return nil, err
	}
	st := newStream(s, id)
	st.created = true
	s.streams[id] = st
	return st, nil
}

// room returns an error where there may be no more streams. Called with mu held.
func (s *Streams) room() error {
	if s.maxStreams > 0 && len(s.streams) >= s.maxStreams {
		s.refused.Add(1)
		return fault.Errorf(fault.Unavailable, "the node has reached its limit of %d streams: try again later", s.maxStreams).Coded("streams_full", "most", s.maxStreams)
	}
	return nil
}

// Refused returns how often there was no room for a stream (Options.MaxStreams).
func (s *Streams) Refused() int64 { return s.refused.Load() }

// Expect returns the stream with the given id, which is made where there is none,
// for somebody who is about to subscribe and wait for its publisher. Unlike one of
// Create it goes when nobody holds it any more. It fails with ErrClosed, or with a
// fault.Invalid for an unusable id.
func (s *Streams) Expect(id string) (*Stream, error) {
	if err := media.CheckStreamID(id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("expect stream %q: %w", id, ErrClosed)
	}
	st, ok := s.streams[id]
	if !ok {
		st = newStream(s, id)
		s.streams[id] = st
	}
	return st, nil
}

// Get returns the stream with the given id, or ErrNotFound.
func (s *Streams) Get(id string) (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.streams[id]; ok {
		return st, nil
	}
	return nil, fmt.Errorf("stream %q: %w", id, ErrNotFound)
}

// List describes all streams, sorted by id.
func (s *Streams) List() []Info {
	s.mu.Lock()
	streams := make([]*Stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.Unlock()
	slices.SortFunc(streams, func(a, b *Stream) int { return strings.Compare(a.id, b.id) })
	infos := make([]Info, len(streams))
	for i, st := range streams {
		infos[i] = st.Info()
	}
	return infos
}

// Delete ends the stream's publisher and all its subscriptions and removes it.
// It fails with ErrNotFound.
func (s *Streams) Delete(id string) error {
	s.mu.Lock()
	st, ok := s.streams[id]
	delete(s.streams, id)
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("delete stream %q: %w", id, ErrNotFound)
	}
	st.end()
	s.watches.notify()
	return nil
}

// Publish makes p the publisher of the stream id, which is created when it does
// not exist. Subscriptions that wait on the stream get the publication as their
// next item. The caller ends it with Publication.Close. It fails with
// ErrPublishing, with ErrClosed, or with a fault.Invalid for an unusable id.
func (s *Streams) Publish(id string, session SessionInfo, tracks []media.Track, p Publisher) (*Publication, error) {
	if err := media.CheckNewStreamID(id); err != nil {
		return nil, err
	}
	pub, err := s.publish(id, session, tracks, p)
	if err != nil {
		return nil, fmt.Errorf("publish stream %q: %w", id, err)
	}
	s.onPublish(pub.stream)
	s.watches.notify()
	s.log.Info("publisher came", "stream", id, "session", session.ID)
	return pub, nil
}

func (s *Streams) publish(id string, session SessionInfo, tracks []media.Track, p Publisher) (*Publication, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	st, ok := s.streams[id]
	if !ok {
		if err := s.room(); err != nil {
			return nil, err
		}
		st = newStream(s, id)
	}
	pub, err := st.join(session, tracks, p)
	if err != nil {
		return nil, err
	}
	s.streams[id] = st
	return pub, nil
}

// Close ends all streams, as Delete does, and lets none come any more.
func (s *Streams) Close() {
	s.mu.Lock()
	streams := s.streams
	s.streams = nil
	s.closed = true
	s.mu.Unlock()
	for _, st := range streams {
		st.end()
	}
	s.watches.notify()
}

// removeIdle removes st when nothing holds it any more.
func (s *Streams) removeIdle(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[st.id] == st && st.endIfIdle() {
		delete(s.streams, st.id)
	}
}
