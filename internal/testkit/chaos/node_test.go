package chaos

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recorder"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/journal"
)

const (
	stream   = "camera"
	journals = ".journals"
	// slowness is how long an operation on slow storage takes.
	slowness = 1500 * time.Millisecond
	// closing bounds what is left to do at the end.
	closing = 10 * time.Minute
)

// folders are what the nodes of a run have on their disks.
type folders struct {
	make  func() string
	paths []string
}

func (f *folders) next() string {
	f.paths = append(f.paths, f.make())
	return f.paths[len(f.paths)-1]
}

func (f *folders) last() string { return f.paths[len(f.paths)-1] }

// node is a process: a recorder with what it needs.
type node struct {
	root     string
	disk     *fs.Store
	store    *faulty
	streams  *live.Streams
	recorder *recorder.Recorder
}

// catalogue takes everything.
type catalogue struct{}

func (catalogue) Put(context.Context, media.Recording) error { return nil }

var errStorage = errors.New("the storage of this run fails")

// faulty is a disk that can fail, be slow, and be of a process that is dead.
type faulty struct {
	*fs.Store
	mu    sync.Mutex
	state string
	last  struct { // write to an open file
		path string
		size int
	}
}

func (f *faulty) fail(state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != "dead" {
		f.state = state
	}
}

// trouble is what an operation meets.
func (f *faulty) trouble() error {
	f.mu.Lock()
	state := f.state
	f.mu.Unlock()
	switch state {
	case "storage fails", "dead":
		return errStorage
	case "storage is slow":
		time.Sleep(slowness)
	}
	return nil
}

// Put fails, but is never slow: recorders hold a lock while they seal, and who waits for
// one keeps the time of a bubble from going on.
func (f *faulty) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	f.mu.Lock()
	bad := f.state == "storage fails" || f.state == "dead"
	f.mu.Unlock()
	if bad {
		return errStorage
	}
	return f.Store.Put(ctx, key, body, size)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.trouble(); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key)
}

func (f *faulty) Create(ctx context.Context, key string) (storage.File, error) {
	if err := f.trouble(); err != nil {
		return nil, err
	}
	file, err := f.Store.Create(ctx, key)
	return &faultyFile{file, f, key}, err
}

type faultyFile struct {
	storage.File
	f   *faulty
	key string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.f.trouble(); err != nil {
		return 0, err
	}
	n, err := f.File.Write(p)
	f.f.mu.Lock()
	f.f.last.path, f.f.last.size = f.key, n
	f.f.mu.Unlock()
	return n, err
}

func (f *faultyFile) Close() error {
	f.f.mu.Lock()
	f.f.last.size = 0
	f.f.mu.Unlock()
	return f.File.Close()
}

func (f *faultyFile) Sync() error {
	if err := f.f.trouble(); err != nil {
		return err
	}
	return f.File.Sync()
}

// boot starts a node on a folder.
func (w *world) boot(root string) {
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			a.Value = slog.TimeValue(w.now()) // with the times in which the node stood still
		}
		return a
	}}))
	disk, err := fs.New(root, fs.Options{NoSync: true, Logger: log})
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{root: root, disk: disk, store: &faulty{Store: disk}}
	n.streams = live.New(live.Options{Now: w.now, Logger: log, OnPublish: func(st *live.Stream) { n.recorder.OnPublish(st) }})
	o := recorder.Options{
		Streams: n.streams, Store: n.store, Catalogue: catalogue{}, NodeAlias: "node", Journals: journal.Open(filepath.Join(root, journals), true),
		SegmentDuration: w.sc.Segment, ChunkDuration: w.sc.Chunk, Reconnect: w.sc.Reconnect, MaxRecording: w.sc.MaxRecording,
		Now: w.now, Logger: log,
	}
	if w.sc.Manual == 0 {
		o.AutoStreams = []string{"*"}
	}
	if n.recorder, err = recorder.New(o); err != nil {
		w.t.Fatal(err)
	}
	if err := n.recorder.Recover(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.node = n
}

// crash ends the node as kill -9 does; it is started again after a time.
func (w *world) crash(down time.Duration, folders *folders) {
	synctest.Wait()
	dead := w.node
	root := folders.next()
	if err := os.CopyFS(root, os.DirFS(dead.root)); err != nil {
		w.t.Fatal(err)
	}
	if w.dice.chance(0.5) {
		w.tear(dead, root)
	}
	w.truth.note("crash", w.age(), w.age()+down)
	w.node = nil
	dead.store.fail("dead")
	_ = dead.close() // whose errors nobody hears
	w.at(w.age()+down, func() { w.boot(root) })
}

// tear takes part of the last write away.
func (w *world) tear(dead *node, root string) {
	dead.store.mu.Lock()
	path, size := filepath.Join(root, dead.store.last.path), int64(dead.store.last.size)
	dead.store.mu.Unlock()
	if info, err := os.Stat(path); err == nil && size > 0 && info.Size() >= size {
		if err := os.Truncate(path, info.Size()-w.dice.Int64N(size)); err != nil {
			w.t.Fatal(err)
		}
		w.truth.torn = true
	}
}

func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	err := n.recorder.Close(ctx)
	n.streams.Close()
	return errors.Join(err, n.disk.Close())
}

// shutDown ends the last node in order.
func (w *world) shutDown() {
	if w.node == nil {
		w.t.Fatal("there is no node at the end")
	}
	w.node.store.fail("")
	if err := w.node.close(); err != nil {
		w.truth.fault("close", "the node does not end: %v", err)
	}
}

// startRecording asks for a recording, and again while that is not possible.
func (w *world) startRecording() {
	if w.age() > w.sc.End {
		return
	}
	if w.node == nil {
		w.at(w.age()+time.Second, w.startRecording)
		return
	}
	node, asked, done := w.node, w.age(), make(chan error, 1)
	go func() {
		_, err := node.recorder.Start(context.Background(), stream, "")
		done <- err
	}()
	synctest.Wait() // it listens from now on
	w.awaitStart(node, asked, done)
}

// awaitStart lets the world go on until a recording that was asked for has begun: senders
// do not wait for storage that is slow. A node that has died meanwhile answers nobody.
func (w *world) awaitStart(node *node, asked time.Duration, done chan error) {
	select {
	case err := <-done:
		if err != nil || w.node != node {
			w.at(w.age()+time.Second, w.startRecording)
			return
		}
		w.truth.started = asked + 1
	default:
		w.at(w.age()+100*time.Millisecond, func() { w.awaitStart(node, asked, done) })
	}
}

func (w *world) stopRecording() {
	if w.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	w.truth.stopped = w.age()
	if _, _, err := w.node.recorder.Stop(ctx, stream); err != nil && w.truth.calm(w.age()) {
		w.truth.fault("stop", "%v", err)
	}
}
