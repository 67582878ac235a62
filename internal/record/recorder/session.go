package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/depacket"
	"github.com/live777/recorder/internal/record/recording"
)

const (
	// readTimeout is how long a session waits for packets before it checks what is due.
	readTimeout = 200 * time.Millisecond
	// readBatch is the number of items taken at once.
	readBatch = 256
	// reportEvery is how often a running recording is reported to the catalogue. Its first
	// media is reported at once, and what follows after reportFirst and then after twice as
	// long each: so it is known soon what a recording is of, and that it grows.
	reportEvery = 30 * time.Second
	reportFirst = time.Second
	// staggerShare and staggerMax bound how much shorter than the limit a stream's
	// first recording is. Streams that began together then rotate at different times.
	staggerShare = 20
	staggerMax   = time.Minute
)

// session records one stream, over reconnects of its publisher, rotations and failures
// of storage, until it is stopped or the publisher stays away. One goroutine (run) does
// the work. The registry and the status read what mu guards.
//
// The session passes what arrives to the arranger, which decides where it goes. The writer
// carries out those decisions. Session time is the arranger's; media time 0 of each
// recording is at some offset of it.
type session struct {
	r       *Recorder
	log     *slog.Logger
	stream  string
	baseDir string // as asked for in Start
	before  string // the record_dir of what it goes on with after a restart; empty: of nothing
	owner   string // who has asked; empty where nobody has

	lifetime
	outcome

	// Below: run's own, but for what says otherwise.
	inbox
	presence
	attempts
	pausing
	now       time.Time         // of the last arrival, or the clock where nothing waits: a session that lags decides as if it did not
	overrunAt time.Time         // when the queue was last found to have been full
	arr       *arrange.Arranger // decides where frames go
	out       *recording.Writer // carries that out
	report    time.Time         // when the catalogue is to be told next
	reportIn  time.Duration     // and how long after the last time that is; 0: it knows of no media
	results   []depacket.Result
}

// lifetime tells others how far a session is.
type lifetime struct {
	started chan struct{} // closed by ready when begin has been tried
	ready   func()
	done    chan struct{} // closed when everything is sealed
	// hasBegun is closed by begun, for a session that waits for media: when there is a
	// recording, or a reason why there is none, or when there will be none.
	hasBegun chan struct{}
	begun    func()
	asked    atomic.Bool // Start wants a recording now, with or without media
	stopping atomic.Bool // ended by Stop or Close
	ended    atomic.Bool // run seals what there is
}

// outcome is what there is to show. mu guards it; run alone writes it.
type outcome struct {
	mu       sync.Mutex
	rec      *recording.Recording // nil before begin and while storage is failing
	last     *recording.Recording // the last one that ended; nil before
	failure  error                // why rec is nil
	unsealed error                // why last was not sealed at once
}

// presence says who publishes.
type presence struct {
	pub    *publication // nil while there is no publisher
	joined *live.Publication
	leftAt time.Time // when the publisher left; zero while it is there
	silent bool      // started by auto_streams, and no packet has come yet: a publisher that never connects leaves no recording
}

// attempts says what recordings the session has begun, and when it may begin the next.
type attempts struct {
	dirs    int           // record_dirs claimed
	retryAt time.Time     // when a recording that storage has stopped is tried again
	retries int           // without a segment in between
	held    bool          // no recording may begin yet: packets that come are counted
	ticket  *quota.Ticket // from the first recording on
	next    *claiming     // the next recording, while a folder is claimed for it; else nil
}

func newSession(r *Recorder, st *live.Stream, sub *live.Subscription, baseDir string) *session {
	s := &session{
		r: r, log: r.log.With("stream", st.ID()), stream: st.ID(), baseDir: baseDir, now: r.o.Now(),
		lifetime: lifetime{started: make(chan struct{}), done: make(chan struct{})}, inbox: inbox{sub: sub},
		presence: presence{leftAt: r.o.Now()}, pausing: pausing{orders: make(chan pauseOrder, 1)},
	}
	s.out = recording.NewWriter(wanted{s}, r.periods)
	s.arr = s.newArranger()
	s.ready = sync.OnceFunc(func() { close(s.started) })
	s.hasBegun, s.begun = s.started, func() {}
	return s
}

func (s *session) newArranger() *arrange.Arranger {
	return arrange.New(arrange.Options{SegmentDuration: s.r.o.SegmentDuration, Log: s.log}, s.out)
}

// stop asks the session to end: what has arrived is still recorded.
func (s *session) stop() {
	s.stopping.Store(true)
	s.sub.Close()
}

// ending reports whether the session has stopped recording. It may still be sealing.
func (s *session) ending() bool { return s.stopping.Load() || s.ended.Load() }

// sealError says why the last recording is not sealed, if it is not.
func (s *session) sealError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsealed == nil || s.last.IsStored() {
		return nil
	}
	return fmt.Errorf("the recording has ended, but storage does not take its manifest; that is tried again: %w", s.unsealed)
}

// info describes the current recording, or the last one.
func (s *session) info() media.Recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current()
}

// current is info. Called with mu held.
func (s *session) current() media.Recording {
	if rec := cmp.Or(s.rec, s.last); rec != nil {
		return rec.Snapshot()
	}
	return media.Recording{}
}

// same returns the running recording to somebody who asks for one in baseDir.
func (s *session) same(baseDir string) (media.Recording, error) {
	s.mu.Lock()
	rec, failure := s.rec, s.failure
	s.mu.Unlock()
	if rec == nil {
		if failure == nil {
			failure = ErrClosed
		}
		return media.Recording{}, fmt.Errorf("recording of stream %s is to be tried again: %w", s.stream, failure)
	}
	info := rec.Snapshot()
	if baseDir != "" && baseDir != s.baseDir && baseDir != info.RecordDir {
		return media.Recording{}, fault.Errorf(fault.Conflict, "stream %s is being recorded to %q; stop that recording first", s.stream, info.RecordDir).Coded("recording_already", "stream", s.stream)
	}
	return info, nil
}

func (s *session) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Recording: s.rec != nil, Info: s.current()}
	if !st.Recording && s.failure != nil {
		st.Error = fault.Text(s.failure)
	}
	return st
}

// run records until the session ends.
func (s *session) run() {
	defer close(s.done)
	defer s.r.remove(s)
	defer s.letGo()
	defer s.ready()
	items, read := make([]live.Item, readBatch), s.kept.read
	s.beginWithKept()
	for {
		n, err := s.read(items)
		s.deal(items[:n], err != nil)
		s.unhold()
		s.obey(n)
		clear(items[:n]) // so that the packets can be freed
		s.ready()
		if err != nil || s.waking == nil && !s.due() && s.retire() {
			break
		}
		read += n
		s.taken.Store(int64(read))
		if s.waking == nil && s.next == nil {
			s.dealt.Store(int64(read))
		}
	}
	s.ended.Store(true)
	s.sub.Close()
	s.must(s.leave())
	if s.rec != nil {
		s.seal(nil)
	}
	s.out.Wait()
	if s.dirs == 0 {
		return
	}
	// A list right after the end should show the recording.
	select {
	case <-s.r.reporter.told(s.info().RecordDir):
	case <-time.After(catalogueGrace):
	}
}

// retire ends a session whose publisher stays away. It is false if a publisher has come
// at this moment. A later publisher belongs to the next session.
func (s *session) retire() bool {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if pub := s.r.publication(s.stream); pub != nil && pub != s.joined {
		return false // it is on the way
	}
	s.ended.Store(true)
	return true
}

// must ends the recording if err, which storage returned for it, is not nil.
func (s *session) must(err error) {
	if err == nil {
		return
	}
	wait := min(retryAfter<<min(s.retries, 8), retryMax)
	s.retryAt = s.now.Add(wait)
	s.retries++
	if s.rec == nil { // begin failed
		s.log.Error("recording did not start", "error", err, "next_try", s.retryAt)
		s.refuse(err)
		return
	}
	s.log.Error("recording stopped", "record_dir", s.rec.Dir(), "error", err, "next_try", s.retryAt)
	s.noteWaiting(true)
	s.out.Abort()
	s.seal(err)
	s.arr.Fail()
}

// seal ends the current recording, whose media is closed.
func (s *session) seal(failure error) {
	s.account()
	rec := s.rec
	err := rec.Seal(failure)
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure != nil {
		s.r.failed.Add(1)
	}
	s.rec, s.last, s.failure, s.unsealed = nil, rec, failure, err
}

// advance moves the session's clock forward, never back.
func (s *session) advance(now time.Time) {
	if !now.After(s.now) {
		return
	}
	if d := now.Sub(s.now); d > stoodStill && s.pub != nil {
		for _, tr := range s.pub.tracks {
			tr.dep.StoodStill(now)
		}
	}
	s.now = now
}

// refuse notes why nothing is recorded; err is not nil.
func (s *session) refuse(err error) {
	defer s.begun()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil { // else this is a retry of what has failed already
		s.r.failed.Add(1)
	}
	s.failure = err
}

// read takes items from the queue. An error means that the session is over.
func (s *session) read(items []live.Item) (int, error) {
	if n := s.kept.next(items); n > 0 {
		return n, nil
	}
	n, err := s.sub.ReadWithin(s.r.ctx, readTimeout, items)
	if err != nil && !errors.Is(err, io.EOF) && s.r.ctx.Err() == nil {
		s.log.Error("reading the stream failed", "error", err)
	}
	return n, err
}

// handle handles one item. An error is one of storage.
func (s *session) handle(item *live.Item) error {
	switch {
	case item.Packet != nil:
		s.advance(item.Packet.Arrival)
	case item.Report != nil:
		s.advance(item.Report.Arrival)
	}
	if s.silent && s.pub != nil && (item.Packet != nil || item.Report != nil || item.Discarded != nil || item.Dropped > 0) {
		s.silent = false
		if err := s.resume(); err != nil {
			return err
		}
	}
	if item.Dropped > 0 {
		s.overrun(item.Dropped)
	}
	switch {
	case item.Joined != nil:
		return s.join(item.Joined)
	case item.Left:
		return s.leave()
	case s.pub == nil:
		return nil
	case item.Discarded != nil:
		if s.rec != nil && !s.paused() {
			s.rec.CountDiscarded(*item.Discarded)
		}
	case item.Report != nil:
		s.arr.Report(item.Report)
		return s.arranged()
	case item.Packet != nil:
		tr := s.pub.tracks[item.Packet.Track]
		if tr == nil {
			return nil
		}
		if s.rec == nil && s.held {
			s.r.pace.leave(s.stream)
		}
		tr.last = tr.last.next(item.Packet, tr.ClockRate)
		s.arr.Packet(tr.ID, item.Packet.Arrival)
		s.results = tr.dep.Push(item.Packet, s.results[:0])
		return s.deliver(tr, s.results)
	}
	return nil
}

// overrun notes that the queue was full: packets that had arrived are missing.
func (s *session) overrun(packets int) {
	s.log.Error("storage is too slow: packets were dropped before they could be recorded", "packets", packets)
	s.overrunAt = s.now
	if s.rec != nil && !s.paused() {
		s.rec.CountOverrun(packets)
	}
}

// join adds the tracks of a publisher that has come.
func (s *session) join(p *live.Publication) error {
	s.leftAt, s.joined = time.Time{}, p
	s.pub = s.newPublication(p.Tracks())
	s.arr.Join(s.now, s.pub.arranged())
	if s.rec == nil {
		return s.resume()
	}
	if !s.paused() && !s.arr.BeginsAnother() {
		s.announce()
	}
	return nil
}

// announce tells the recording of the tracks that the publisher has.
func (s *session) announce() {
	for _, mt := range s.pub.announced {
		s.rec.Update(arrange.Lane{Kind: mt.Kind, Layer: s.pub.layer(mt)}, func(t *media.RecordingTrack) {
			if t.RID = cmp.Or(mt.RID, t.RID); !t.Recorded { // it stays a layer, though a publisher without layers comes
				t.Codec = mt.Codec
			}
		})
	}
	for l, why := range s.pub.missing {
		s.rec.Update(l, func(t *media.RecordingTrack) { t.Missing = why })
	}
	s.rec.NoteTracks() // else a crash would forget a layer that has not come yet
}

// leave ends what the publisher has sent: what was held back or is incomplete is
// decided now.
func (s *session) leave() error {
	if s.pub == nil {
		return nil
	}
	err := s.finish()
	s.arr.Leave()
	s.carryOn(true)
	if s.rec != nil && !s.paused() {
		s.announce() // if it was to begin another, and has not
		s.rec.Placed()
	}
	err = errors.Join(err, s.arranged())
	s.account()
	s.noteUndecodable()
	s.pub, s.leftAt = nil, s.now
	s.out.Leave()
	return err
}

// deliver records the frames and losses that the depacketizer has decided.
func (s *session) deliver(tr *track, results []depacket.Result) error {
	if n := tr.dep.Stats().FramesBeforeKey; n > tr.early {
		if s.rec != nil && !s.paused() {
			s.arr.Early(tr.ID, s.now, int(n-tr.early))
		}
		tr.early = n
	}
	for i := range results {
		res := &results[i]
		if res.Lost && !s.paused() && !tr.resting {
			s.lost(tr, res.Err)
		}
		if res.Resync {
			s.log.Warn("the sender began a new RTP stream", "kind", tr.Kind.String())
			s.arr.Restarted(tr.ID)
		}
		if res.Frame == nil {
			continue
		}
		if s.rec == nil || s.paused() { // storage is failing, or nobody wants it
			s.watch(tr, res.Frame)
			continue
		}
		s.goesOn(tr)
		tr.losing = false
		s.arr.Frame(tr.ID, res.Frame)
		if err := s.arranged(); err != nil {
			return err
		}
	}
	return nil
}

// lost notes that something is missing before what comes next.
func (s *session) lost(tr *track, reason error) {
	if !tr.losing {
		s.log.Debug("media was lost", "kind", tr.Kind.String(), "reason", reason)
		tr.losing = true
	}
	cause := arrange.CauseLoss
	if !s.overrunAt.IsZero() && s.now.Sub(s.overrunAt) < 2*reorderDelay {
		cause = arrange.CauseOverrun // noticed when the packets have been waited for
	}
	s.arr.Missing(tr.ID, cause)
}

// tick does what time makes due; false means that the session is over.
func (s *session) tick() bool {
	now := s.now
	if s.pub == nil {
		return now.Sub(s.leftAt) < s.r.o.Reconnect || s.rec != nil && s.hasToWait()
	}
	for _, tr := range s.pub.ordered {
		s.results = tr.dep.Advance(now, s.results[:0])
		s.must(s.deliver(tr, s.results))
	}
	if s.rec != nil {
		s.arr.Advance(now)
		s.must(s.arranged())
	}
	if s.next != nil {
		return true // the rest is of the next recording
	}
	if s.rec != nil {
		s.noteWaiting(false)
	}
	if s.rec == nil {
		s.must(s.resume())
		return true
	}
	s.account()
	s.rec.Persist()
	if s.rec.HasMedia() {
		s.retries = 0
	}
	if first := s.reportIn == 0 && s.rec.HasChunks(); first || !now.Before(s.report) {
		s.r.reporter.add(s.rec.Shown())
		s.reportIn = min(max(2*s.reportIn, reportFirst), reportEvery)
		s.report = now.Add(s.reportIn)
		if !first {
			s.must(s.rec.NoteLedger())
		}
	}
	return true
}

// arranged returns the error of storage, if any, that the arranger's last call led to.
func (s *session) arranged() error {
	rotateAt, err := s.out.Take()
	if rotateAt > 0 {
		s.arr.RotateAt(rotateAt)
	}
	return err
}

// wanted is a session as its writer knows it.
type wanted struct{ *session }

// Rotate implements recording.Session.
func (w wanted) Rotate(at time.Duration) { w.rotate(w.wall(at)) }

// Limit implements recording.Session.
func (w wanted) Limit() time.Duration { return w.limit() }

// Wall implements recording.Session.
func (w wanted) Wall(at time.Duration) time.Time { return w.wall(at) }

// Decoded implements recording.Session.
func (w wanted) Decoded(l arrange.Lane) { w.pub.decoded[l] = true }

// RequestKeyFrame implements recording.Session.
func (w wanted) RequestKeyFrame(id media.TrackID) { w.sub.RequestKeyFrame(id) }

// wall returns the wall clock of a session time.
func (s *session) wall(at time.Duration) time.Time { return s.arr.Zero().Add(at) }

// limit returns the length at which the next recording is to be rotated.
func (s *session) limit() time.Duration {
	limit := s.r.o.MaxRecording
	if s.dirs > 0 {
		return limit
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.stream)) // never fails
	span := min(limit/staggerShare, staggerMax)
	return limit - span*time.Duration(h.Sum32()%1000)/1000
}
