// Package recorder records streams. A session records one stream, from its first frame
// to the sealed manifest. The Recorder is the registry of sessions: it starts, stops,
// rotates and recovers them.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

// Store is the storage that recordings are written to.
type Store = storage.Store

// Catalogue is told of every recording when it starts, while it grows and when
// it ends.
type Catalogue interface {
	Put(ctx context.Context, r media.Recording) error
}

// Options configure a Recorder. Streams, Store and Catalogue are needed.
type Options struct {
	Streams   *live.Streams
	Store     Store
	Catalogue Catalogue
	// Journals is the folder of journals, on a local disk. Recover reads them after a
	// crash. With nil, a crash leaves recordings unsealed.
	Journals *journal.Dir

	NodeAlias       string
	AutoStreams     []string      // patterns of path.Match
	Preroll         time.Duration // how much of a stream from before its recording is started that has; 0: nothing
	PrerollStreams  []string      // patterns of the streams that have it; empty: all
	MaxRecording    time.Duration // a recording is rotated at it; 0: never
	SegmentDuration time.Duration
	ChunkDuration   time.Duration
	Reconnect       time.Duration // how long a recording waits for its publisher to come back
	Sync            segmenter.Sync
	// Gather is how long the packets of a stream wait together: a session that is woken for
	// each costs twice as much. 0: not at all.
	Gather time.Duration
	// Quotas bounds the recordings that run; nil is no bound.
	Quotas *quota.Quotas
	// Deleting reports whether a recording is being deleted, so that its record_dir is
	// not free yet. With nil, nothing is being deleted.
	Deleting func(recordDir string) bool
	// Ended is told of each recording that ends, with its verdict and ledger, and must
	// not block; nil: nobody is.
	Ended func(media.Recording)
	// Closed is told of each segment that is closed, and must not block; nil: nobody is.
	Closed func(recording.ClosedSegment)

	Now    func() time.Time // time.Now by default
	Logger *slog.Logger
}

const (
	// queueBytes and queueItems bound what waits for one recording while the
	// disk stalls: about 20 s of a 10 Mbit/s stream.
	queueBytes = 32 << 20
	queueItems = 1 << 15
	// retryAfter is how long the recorder waits before it tries again: to begin a
	// recording that storage has stopped, to store a seal, to tell the catalogue. A
	// recording that fails again and again waits longer, up to retryMax.
	retryAfter = recording.RetryAfter
	retryMax   = 2 * time.Minute
	// catalogueGrace is how long the end of a recording waits for the catalogue, so
	// that a list right after it is up to date.
	catalogueGrace = 2 * time.Second
	// storeTimeout bounds one operation on storage or on the catalogue.
	storeTimeout = 30 * time.Second
	// maxPeriods is how many Periods a recording has before it goes on in another: each has
	// a place in the manifest, and may have init segments of its own.
	maxPeriods = 1000
	// maxErrors bounds the number of streams whose last error is remembered.
	maxErrors = 1000
)

// subscribing is how sessions and prerolls read streams.
func (r *Recorder) subscribing() live.SubscribeOptions {
	return live.SubscribeOptions{MaxBytes: queueBytes, MaxItems: queueItems, Gather: r.o.Gather}
}

// The errors of Start that callers may want to tell apart.
var (
	ErrNoPublisher = fault.New(fault.Conflict, "the stream has no publisher; publish to it first, or name it in recorder.auto_streams").Coded("no_publisher")
	ErrClosed      = fault.New(fault.Unavailable, "the node is shutting down").Coded("shutting_down")
)

// Recorder is the registry of recordings. Safe for concurrent use.
type Recorder struct {
	o   Options
	log *slog.Logger

	ctx      context.Context // of all sessions: ends when Close has waited for them, or gives up
	cancel   context.CancelFunc
	wg       sync.WaitGroup // sessions, the sealer and the reporter
	reporter *reporter
	failed   atomic.Int64 // recordings that an error has ended, or kept from beginning
	periods  int          // that a recording may have: maxPeriods, or fewer in tests
	pace     pace

	prerolled struct{ bytes atomic.Int64 } // what all prerolls keep
	waiting   waiting

	mu        sync.Mutex
	closed    bool
	sessions  map[string]*session             // by stream
	prerolls  map[string]*preroll             // by stream: of streams that are not recorded
	sealing   map[*session]struct{}           // ended, while another session records the stream already
	active    map[string]*recording.Recording // by record_dir: not yet sealed for good
	uploading map[string]*upload              // by record_dir: sealed, and not yet acknowledged by storage
	errors    map[string]string               // by stream: why its last recording ended, if by an error
	stopped   map[string]*live.Publication    // by stream: whose recording Stop has ended
	reserved  []*reservation                  // folders that are being claimed

	unfinished      map[string]Unfinished // by stream: of GoOn
	unfinishedUntil time.Time
}

// New returns a recorder; Close it.
func New(o Options) (*Recorder, error) {
	if o.Streams == nil || o.Store == nil || o.Catalogue == nil {
		return nil, errors.New("recorder: Streams, Store and Catalogue are needed")
	}
	if !o.Store.Traits().InPlace {
		return nil, errors.New("recorder: a crash would cost all of an open segment in this store: record to a spool before it")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Deleting == nil {
		o.Deleting = func(string) bool { return false }
	}
	if o.Ended == nil {
		o.Ended = func(media.Recording) {}
	}
	for key, patterns := range map[string][]string{"auto_streams": o.AutoStreams, "preroll_streams": o.PrerollStreams} {
		if err := checkPatterns(key, patterns); err != nil {
			return nil, err
		}
	}
	r := &Recorder{
		o: o, log: o.Logger, periods: maxPeriods, pace: pace{streams: map[string]*paced{}},
		sessions:  map[string]*session{},
		prerolls:  map[string]*preroll{},
		sealing:   map[*session]struct{}{},
		active:    map[string]*recording.Recording{},
		uploading: map[string]*upload{},
		errors:    map[string]string{},
		stopped:   map[string]*live.Publication{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.waiting.ctx, r.waiting.stop = context.WithCancel(r.ctx)
	r.reporter = newReporter(r)
	r.wg.Go(r.sealer)
	r.wg.Go(func() { r.reporter.run(r.ctx) })
	return r, nil
}

// Close stops all recordings. It returns when they are sealed and the catalogue knows.
// If ctx ends first, Close gives up what is left and returns an error.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	sessions := slices.AppendSeq(slices.Collect(maps.Values(r.sessions)), maps.Keys(r.sealing))
	r.mu.Unlock()
	for _, s := range sessions {
		s.stop()
	}
	var errs []error
	for _, s := range sessions {
		select {
		case <-s.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("seal recording of stream %s: %w", s.stream, ctx.Err()))
		}
	}
	r.cancel()
	if len(errs) > 0 {
		return errors.Join(errs...) // a session hangs in storage: it cannot be waited for
	}
	r.wg.Wait()
	errs = append(errs, r.sealRest(ctx)) // which has something to report
	r.reporter.flush(ctx)
	if !r.reporter.idle() {
		errs = append(errs, errors.New("the catalogue was not told of all recordings"))
	}
	return errors.Join(append(errs, r.releaseJournals())...)
}

// releaseJournals unlocks the journals of what is not stored yet, so that the next run
// can have them.
func (r *Recorder) releaseJournals() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, rec := range r.active {
		errs = append(errs, rec.CloseJournal())
	}
	for _, u := range r.uploading {
		errs = append(errs, u.CloseJournal())
	}
	return errors.Join(errs...)
}

// Start begins to record a stream and returns the new recording, or the
// running one. It does not wait for media. baseDir may be empty.
//
// Errors: fault.Invalid for a bad stream id or baseDir, live.ErrNotFound,
// ErrNoPublisher, fault.Conflict if the stream is recorded to another
// directory or baseDir is in use, fault.Unprocessable if no track can be
// recorded, fault.TooMany if recordings of the stream begin too often, and what storage
// says.
func (r *Recorder) Start(ctx context.Context, stream, baseDir string) (media.Recording, error) {
	if err := media.CheckStreamID(stream); err != nil {
		return media.Recording{}, err
	}
	baseDir, err := cleanBaseDir(baseDir)
	if err != nil {
		return media.Recording{}, err
	}
	for {
		s, fresh, err := r.session(stream, baseDir)
		if err != nil {
			return media.Recording{}, err
		}
		if fresh {
			s.owner = live.ClientOf(ctx).Owner
			return r.startFresh(ctx, s)
		}
		next := s.started
		if s.ending() {
			next = s.done // then a new one can begin
		}
		select {
		case <-next:
		case <-ctx.Done():
			return media.Recording{}, ctx.Err()
		}
		s.asked.Store(true)
		select {
		case <-s.hasBegun:
		case <-ctx.Done():
			return media.Recording{}, ctx.Err()
		}
		if !s.ending() {
			return s.same(baseDir)
		}
	}
}

// startFresh begins the recording of a new session.
func (r *Recorder) startFresh(ctx context.Context, s *session) (media.Recording, error) {
	s.takeOver()
	err := s.mayBegin()
	if err == nil {
		err = s.begin(ctx, s.now)
	}
	if err == nil && r.ctx.Err() != nil {
		err = ErrClosed // Close has not waited for it
	}
	if err != nil {
		switch k := fault.KindOf(err); {
		case errors.Is(err, errPace):
			s.hold(err)
		case k != fault.Conflict && k != fault.Invalid:
			s.refuse(err) // the storage's fault, which the status tells; not the caller's
		}
		s.stop()
		s.ready()
		s.ticket.Release()
		r.remove(s)
		close(s.done)
		r.wg.Done()
		return media.Recording{}, err
	}
	info := s.info()
	s.ready()
	go func() {
		defer r.wg.Done()
		s.run()
	}()
	return info, nil
}

// session returns the stream's session. If there is none it makes one, and the caller
// has to begin it (fresh).
func (r *Recorder) session(stream, baseDir string) (s *session, fresh bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false, ErrClosed
	}
	if s := r.sessions[stream]; s != nil {
		return s, false, nil
	}
	st, err := r.o.Streams.Get(stream)
	if err != nil {
		return nil, false, err
	}
	pub, ok := st.Publication()
	if !ok {
		return nil, false, ErrNoPublisher
	}
	if err := recordable(pub.Tracks()); err != nil {
		return nil, false, err
	}
	s, err = r.newSession(st, baseDir, r.takePreroll(stream))
	if err != nil {
		return nil, false, err
	}
	r.sessions[stream] = s
	r.wg.Add(1) // while closed is known to be false; startFresh gives it back
	return s, true, nil
}

// newSession subscribes to st, or takes over the subscription of what has been kept of it,
// if p is not nil. Called with r.mu held.
func (r *Recorder) newSession(st *live.Stream, baseDir string, p *preroll) (*session, error) {
	var sub *live.Subscription
	if p != nil {
		sub = p.sub
	} else {
		var err error
		if sub, err = st.Subscribe(r.subscribing()); err != nil {
			return nil, fmt.Errorf("subscribe to stream %s: %w", st.ID(), err)
		}
	}
	delete(r.errors, st.ID())
	delete(r.stopped, st.ID())
	s := newSession(r, st, sub, baseDir)
	s.kept.preroll = p
	return s, nil
}

// Stop ends a stream's recording and returns it when it is sealed. stopped is false if
// there was none. If ctx ends first, or storage does not take all of the seal, Stop
// returns an error, and the recorder goes on sealing.
func (r *Recorder) Stop(ctx context.Context, stream string) (rec media.Recording, stopped bool, err error) {
	r.mu.Lock()
	s := r.sessions[stream]
	if s != nil {
		r.rememberStop(stream)
	}
	r.mu.Unlock()
	if s == nil {
		return media.Recording{}, false, nil
	}
	s.stop()
	select {
	case <-s.done:
		return s.info(), s.dirs > 0, s.sealError()
	case <-ctx.Done():
		return s.info(), true, fmt.Errorf("seal recording of stream %s: %w", stream, ctx.Err())
	}
}

// rememberStop notes that the recording of a stream is stopped on request. Called
// with mu held.
func (r *Recorder) rememberStop(stream string) {
	pub := r.publication(stream)
	if pub == nil {
		return
	}
	for old := range r.stopped { // of publishers that have left
		if r.publication(old) != r.stopped[old] {
			delete(r.stopped, old)
		}
	}
	r.stopped[stream] = pub
}

// publication returns the current one of a stream, nil if there is none.
func (r *Recorder) publication(stream string) *live.Publication {
	st, err := r.o.Streams.Get(stream)
	if err != nil {
		return nil
	}
	pub, _ := st.Publication()
	return pub
}

// Stopped reports whether Stop has ended the recording of a stream whose publisher is
// still the same. A manager that starts recordings by itself does not start such a
// stream again.
func (r *Recorder) Stopped(stream string) bool {
	r.mu.Lock()
	pub := r.stopped[stream]
	r.mu.Unlock()
	return pub != nil && r.publication(stream) == pub
}

// Status describes the recording of one stream.
type Status struct {
	Recording bool            // media is being written, or waited for
	Info      media.Recording // where Recording, or the last one of a session that storage stopped
	Error     string          // why nothing is recorded, if an error is the cause
}

// Status returns the state of a stream's recording; an unknown stream is not
// recorded.
func (r *Recorder) Status(stream string) Status {
	r.mu.Lock()
	s, last := r.sessions[stream], r.errors[stream]
	r.mu.Unlock()
	if s == nil {
		return Status{Error: last}
	}
	return s.status()
}

// Recording reports whether a stream is being recorded.
func (r *Recorder) Recording(stream string) bool { return r.Status(stream).Recording }

// Manifest returns the manifest with the given key, DASH or HLS, of a recording that is
// not sealed yet, and when it last changed.
func (r *Recorder) Manifest(key string) (data []byte, modified time.Time, ok bool) {
	if storage.ClassOf(key) != storage.Manifest {
		return nil, time.Time{}, false
	}
	rec := r.activeIn(path.Dir(key))
	if rec == nil {
		return nil, time.Time{}, false
	}
	return rec.Manifest(path.Base(key))
}

// Open reports whether the object with the given key is still being written.
func (r *Recorder) Open(key string) bool {
	rec := r.activeIn(path.Dir(key))
	return rec != nil && rec.IsOpen(path.Base(key))
}

// Active returns the recordings that are not sealed yet, in the order of their
// record_dirs.
func (r *Recorder) Active() []media.Recording {
	r.mu.Lock()
	recs := slices.Collect(maps.Values(r.active))
	r.mu.Unlock()
	infos := make([]media.Recording, len(recs))
	for i, rec := range recs {
		infos[i] = rec.Shown()
	}
	slices.SortFunc(infos, func(a, b media.Recording) int { return strings.Compare(a.RecordDir, b.RecordDir) })
	return infos
}

// Running returns a recording that the catalogue may not fully know: it is not sealed
// yet, or storage or the catalogue has not acknowledged the seal.
func (r *Recorder) Running(recordDir string) (media.Recording, bool) {
	rec := r.known(recordDir)
	if rec == nil {
		return media.Recording{}, false
	}
	return rec.Shown(), true
}

// Protect sets or clears the protection of a recording that is not sealed or not stored
// yet, and returns it. ok is false if the recorder has no such recording.
func (r *Recorder) Protect(recordDir string, protected bool) (info media.Recording, ok bool, err error) {
	rec := r.known(recordDir)
	if rec == nil {
		return media.Recording{}, false, nil
	}
	return rec.Protect(protected, func() bool { return r.known(recordDir) == rec })
}

// Forget drops a recording that has ended and is being deleted, even if storage has not
// acknowledged all of it. The recorder does not report it any more, and does not seal
// it again after a crash.
func (r *Recorder) Forget(recordDir string) {
	r.mu.Lock()
	u := r.uploading[recordDir]
	r.mu.Unlock()
	drop := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.uploading, recordDir)
	}
	if u == nil {
		drop()
	} else { // else what is being settled would be stored again
		u.Exclusive(drop) // and no longer: the reporter settles while it tells
	}
	r.reporter.forget(recordDir)
	if u == nil {
		return
	}
	if err := u.RemoveJournal(); err != nil {
		r.log.Error("journal of a deleted recording was not removed", "record_dir", recordDir, "error", err)
	}
}

func (r *Recorder) activeIn(dir string) *recording.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[dir]
}

// known returns the recording in a record_dir if it is active or not settled yet, else
// nil.
func (r *Recorder) known(dir string) *recording.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.active[dir]; rec != nil {
		return rec
	}
	if u := r.uploading[dir]; u != nil {
		return u.Recording
	}
	return nil
}

// remove takes an ended session out of the registry. If another publisher has come
// meanwhile and auto_streams names the stream, a new session starts.
func (r *Recorder) remove(s *session) {
	r.mu.Lock()
	delete(r.sealing, s)
	succeeded := r.sessions[s.stream] != s
	if !succeeded {
		delete(r.sessions, s.stream)
		if msg := s.status().Error; msg != "" {
			r.remember(s.stream, msg)
		}
	}
	r.mu.Unlock()
	if succeeded {
		return
	}
	st, err := r.o.Streams.Get(s.stream)
	if err != nil {
		return
	}
	pub, ok := st.Publication()
	if ok && pub != s.joined {
		r.OnPublish(st)
	}
	if ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.beginPreroll(st)
	}
}

// remember notes why a stream is not recorded any more. Called with mu held.
func (r *Recorder) remember(stream, msg string) {
	for old := range r.errors {
		if len(r.errors) < maxErrors {
			break
		}
		delete(r.errors, old)
	}
	r.errors[stream] = msg
}

// Failed returns how many recordings an error has ended, or kept from beginning,
// since New.
func (r *Recorder) Failed() int64 { return r.failed.Load() }

// SampleIndex returns the sample index with the given key of a recording that runs; ok is
// false if there is none that is not stored.
func (r *Recorder) SampleIndex(key string) (data []byte, ok bool) {
	if !media.IsSampleIndex(path.Base(key)) {
		return nil, false
	}
	rec := r.activeIn(path.Dir(key))
	if rec == nil {
		return nil, false
	}
	return rec.SampleIndex(path.Base(key))
}
