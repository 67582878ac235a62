// Package spool is the durable local queue in front of a remote storage backend:
// what is written lands on the local disk first, is uploaded when it is whole, and
// leaves the disk when the remote has acknowledged it.
//
// # What is uploaded how
//
// The manifests (manifest.mpd and the HLS playlists) and recording.json may be replaced;
// the newest one replaces an older one that still waits. Everything else is written once, and uploaded so that
// nothing remote is ever overwritten (Remote.Add). Where the remote has an object
// of that name already, it is read back: the same bytes are an upload whose answer
// was lost; others are a conflict: the local object stays, is logged and counted,
// and does not hold up the rest of its recording.
//
// A recording.json that was made by Create is a claim of its folder. It is added
// before anything else of the folder is uploaded. When the remote has another one
// there, which can only happen when it could not be asked at Create, the folder
// belongs to somebody else: nothing of it is uploaded, so that two recordings are
// never mixed. It all stays on the local disk, and is logged and counted.
//
// Within a folder a manifest is uploaded after every object that was queued before it,
// other manifests too, and recording.json after them: a remote manifest never names a
// segment or a playlist that is not there.
//
// # On disk
//
// objects/ holds the objects by their keys, claims/ what was claimed of folders
// whose claim is not acknowledged. A claim is filled before it is first uploaded and
// stays the same until it is acknowledged, so that it can be told from a stranger's
// though recording.json has been replaced meanwhile, and the process too.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// Remote is the backend that a Spool uploads to.
type Remote interface {
	storage.Backend
	// Add stores an object that does not exist: see storage.Store.
	Add(ctx context.Context, key string, body io.Reader, size int64) error
}

// Options are the settings of a Spool. Dir and Remote are needed.
type Options struct {
	Dir      string // on a local disk, for this process alone
	Remote   Remote
	MaxBytes int64 // of segments that may wait or be open; 0: as much as the disk has
	Uploads  int   // at the same time; 0: 8
	// NoSync leaves it to the operating system when data reaches the disk: a
	// power cut may then cost what was not uploaded yet.
	NoSync bool

	Now    func() time.Time // time.Now by default
	Logger *slog.Logger     // slog.Default() by default
}

const (
	defaultUploads = 8
	dirMode        = 0o700 // what waits is for this process alone
	fileMode       = 0o600
	lockName       = "lock"
	objectsName    = "objects"
	claimsName     = "claims"

	// maxFolders bounds how many folders without anything that waits are
	// remembered as this spool's own.
	maxFolders = 8192
)

// tuning are times and counts that tests shorten.
type tuning struct {
	ask        time.Duration // how long Create waits for the remote to say what it has
	stat       time.Duration // how long Stat does
	silence    time.Duration // how long a remote that does not answer is not asked again
	unanswered int           // after so many questions in a row
	stall      time.Duration // an upload without progress for so long is given up
	grace      time.Duration // the time an upload of no bytes may take
	rate       int64         // bytes per second that an upload must have, beyond grace
	backoffMin time.Duration
	backoffMax time.Duration
	probeMax   time.Duration // the longest wait between two probes of a remote that fails
	failures   int           // so many in a row open the breaker
	refusals   int           // after so many an object that is at fault itself is given up
	settle     time.Duration // how late a remote may still carry out what it did not answer
}

func defaultTuning() tuning {
	return tuning{
		ask: 2 * time.Second, stat: 5 * time.Second, silence: 5 * time.Second, unanswered: 3, stall: 30 * time.Second, grace: time.Minute, rate: 64 << 10,
		backoffMin: 200 * time.Millisecond, backoffMax: 30 * time.Second, probeMax: 5 * time.Second,
		failures: 5, refusals: 5, settle: 30 * time.Second,
	}
}

// Spool is a remote backend behind a local disk. Writes go to the disk; reads look
// there first. It is ready for use when New returns it, and uploads from Start to
// Close. Safe for concurrent use.
type Spool struct {
	o      Options
	tune   *tuning
	log    *slog.Logger
	clock  clock
	disk   *disk
	asker  *asker
	sender *sender
	run    running
	keys   keyLocks

	mu      sync.Mutex // guards what follows, and running's booleans
	queue   queue
	budget  budget
	outage  outage
	uploads uploads
	deleted map[string]struct{} // see deleteAgain
	notes   []func()            // see note
}

// running is what a spool does beside its callers.
type running struct {
	ctx     context.Context // of uploads
	cancel  context.CancelFunc
	wake    chan struct{} // something changed that the dispatcher waits for
	stop    chan struct{} // closed by Close: begin no more uploads
	work    sync.WaitGroup
	started bool
	closed  bool
}

// clock is the time.
type clock struct {
	now   func() time.Time
	began time.Time
}

// ticks is t as the time since New in ns. Nobody sets this clock: a wall clock that
// is put back by hours must not hold up uploads for so long.
func (c clock) ticks(t time.Time) int64 { return int64(t.Sub(c.began)) }

var _ storage.Store = (*Spool)(nil)

// New opens the spool in o.Dir, which it makes when it is missing, with what an
// earlier process left there. It asks the remote nothing. Torn objects have to be
// mended by Repair or Delete before Start; all others are uploaded as they are. A
// directory that cannot be used, or is used by another process, is an error that
// names the option recorder.spool.dir.
func New(ctx context.Context, o Options) (*Spool, error) {
	if o.Remote == nil {
		return nil, errors.New("spool: Remote is needed")
	}
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, "recorder.spool.dir is empty: name a directory on a local disk")
	}
	if o.Uploads <= 0 {
		o.Uploads = defaultUploads
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	d, err := openDisk(o)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	tune := defaultTuning()
	s := &Spool{
		o: o, tune: &tune, log: o.Logger, clock: clock{now: o.Now, began: time.Now()}, disk: d,
		asker:  &asker{remote: o.Remote, tune: &tune},
		sender: &sender{remote: o.Remote, disk: d, tune: &tune, log: o.Logger},
		run:    running{wake: make(chan struct{}, 1), stop: make(chan struct{})},
		queue:  queue{entries: map[string]*entry{}, folders: map[string]*folder{}},
		budget: budget{max: o.MaxBytes}, deleted: map[string]struct{}{},
	}
	if err := s.scan(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	s.run.ctx, s.run.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start begins to upload what waits. Calls after the first do nothing.
func (s *Spool) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run.started || s.run.closed {
		return
	}
	s.run.started = true
	s.run.work.Go(s.dispatch)
}

// Close ends the uploads, waiting for those under way until ctx ends, and gives the
// directory back. What is left is uploaded after the next Start. The spool must not
// be used any more.
func (s *Spool) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.run.closed {
		s.mu.Unlock()
		return nil
	}
	s.run.closed = true
	close(s.run.stop)
	s.mu.Unlock()
	giveUp := context.AfterFunc(ctx, s.run.cancel)
	s.run.work.Wait()
	giveUp()
	s.run.cancel()
	if left := s.Status(); left.WaitingObjects > 0 {
		s.log.Info("objects wait in the spool for the next start", "objects", left.WaitingObjects, "bytes", left.WaitingBytes)
	}
	if err := s.disk.close(); err != nil {
		return fmt.Errorf("close the spool: %w", err)
	}
	return nil
}

// Traits implements storage.Store.
func (*Spool) Traits() storage.Traits { return storage.Traits{Uploads: true, InPlace: true} }

// Pending implements storage.Store.
func (s *Spool) Pending(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.entries[key] != nil
}

// Lost implements storage.Store.
func (s *Spool) Lost(folder string) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.queue.folders[folder]
	if f == nil || f.lost == 0 {
		return nil
	}
	for key, e := range s.queue.entries {
		if e.state == lost && e.folder == f {
			keys = append(keys, key)
		}
	}
	return keys
}

// poke wakes the dispatcher.
func (s *Spool) poke() {
	select {
	case s.run.wake <- struct{}{}:
	default: // it will look anyway
	}
}
