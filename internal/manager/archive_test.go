//go:build !norecorder

package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/remote"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// archived is when the recordings of archives were made.
var archived = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// archive is a real node, with recordings that it made long ago: they are put into
// its storage and its catalogue while it does not run.
type archive struct {
	*server
	t      *testing.T
	name   string // its node_alias
	dir    string
	place  config.Storage
	store  storage.Backend
	change func(*config.Config)
}

// newArchive starts a node with a name, which records to place; the zero place is
// a folder of its own.
func newArchive(t *testing.T, name string, place config.Storage, change func(*config.Config)) *archive {
	t.Helper()
	dir := t.TempDir()
	if place.Type == "" {
		place = config.Storage{Type: config.StorageFS, Root: filepath.Join(dir, "storage")}
	}
	a := &archive{t: t, name: name, dir: dir, place: place, store: openPlace(t, place), change: change}
	a.start(portlock.Address(t))
	return a
}

// openPlace opens storage beside nodes and managers.
func openPlace(t *testing.T, place config.Storage) storage.Backend {
	t.Helper()
	if place.Type != config.StorageFS {
		store, err := remote.Open(t.Context(), place, logger(t))
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store, err := fs.New(place.Root, fs.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func (a *archive) start(listen string) {
	a.t.Helper()
	a.server = startNode(a.t, a.name, a.dir, func(c *config.Config) {
		c.HTTP.Listen, c.Recorder.Storage = listen, a.place
		c.Recorder.Spool.Dir = filepath.Join(a.dir, "spool")
		if a.change != nil {
			a.change(c)
		}
	})
}

// offline does something to the node's files while it does not run, and starts it
// again where it was.
func (a *archive) offline(do func()) {
	a.t.Helper()
	a.stop()
	do()
	a.start(strings.TrimPrefix(a.url, "http://"))
}

// add makes finished recordings in folders, of the streams that these begin with.
func (a *archive) add(change func(*media.Recording), dirs ...string) {
	a.t.Helper()
	a.offline(func() {
		db := openCatalogue(a.t, a.catalogue())
		defer func() { _ = db.Close() }()
		for _, dir := range dirs {
			r := finished(a.name, dir)
			if change != nil {
				change(&r)
			}
			deposit(a.t, a.store, r)
			if err := db.Put(a.t.Context(), r); err != nil {
				a.t.Fatal(err)
			}
		}
	})
}

func (a *archive) catalogue() string { return "sqlite://" + filepath.Join(a.dir, "live777.db") }

// remove deletes recordings, as a user does.
func (a *archive) remove(dirs ...string) {
	a.t.Helper()
	for _, dir := range dirs {
		if code := a.call(http.MethodDelete, "/api/recordings/"+dir, "", nil); code != http.StatusNoContent {
			a.t.Fatalf("delete %s: %d", dir, code)
		}
	}
}

// protect protects recordings, as a user does.
func (a *archive) protect(dirs ...string) {
	a.t.Helper()
	for _, dir := range dirs {
		if code := a.call(http.MethodPatch, "/api/recordings/"+dir, `{"protected":true}`, nil); code != http.StatusOK {
			a.t.Fatalf("protect %s: %d", dir, code)
		}
	}
}

// backup returns a function that puts the node's catalogue back to what it is now.
func (a *archive) backup() (restore func()) {
	a.t.Helper()
	var put func()
	a.offline(func() { put = saveFiles(a.t, filepath.Join(a.dir, "live777.db")) })
	return func() { a.t.Helper(); a.offline(put) }
}

// saveFiles returns a function that puts the files whose names begin so back.
func saveFiles(t *testing.T, prefix string) (restore func()) {
	t.Helper()
	list := func() []string {
		names, err := filepath.Glob(prefix + "*")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	saved := map[string][]byte{}
	for _, name := range list() {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		saved[name] = data
	}
	return func() {
		t.Helper()
		for _, name := range list() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		for name, data := range saved {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// finished is a recording of a minute, of the stream that dir begins with.
func finished(node, dir string) media.Recording {
	stream, rest, _ := strings.Cut(dir, "/")
	var n int
	for _, c := range rest { // so that each is of another time
		n = n*31%100_000 + int(c)
	}
	start := archived.Add(time.Duration(n) * time.Second)
	end := start.Add(time.Minute + 123*time.Millisecond)
	return media.Recording{
		Stream: stream, RecordID: media.RecordID(dir), RecordDir: dir, MPDPath: dir + "/" + media.ManifestName, Node: node,
		Start: start, End: &end, Duration: 60.123, DurableThrough: 60.123, Bytes: 1000 + int64(n), Status: media.StatusDegraded,
		Reason: "video: 2 packets were lost", Periods: 2,
		Tracks: []media.RecordingTrack{
			{Kind: "video", Codec: "H264", RFC6381: "avc1.42C01F", Width: 640, Height: 360, Segments: 10, Frames: 1800, Bytes: 900,
				Recorded: true, PacketsReceived: 5000, PacketsLost: 2, Gaps: []media.Gap{{Start: 1.5, Duration: 0.25, Cause: "loss"}}},
			{Kind: "audio", Codec: "opus", Recorded: true, Synced: true, Offset: 0.0125},
		},
	}
}

// deposit puts a recording's objects into storage; each says whose it is.
func deposit(t *testing.T, store storage.Backend, r media.Recording) {
	t.Helper()
	info, err := media.EncodeRecording(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		media.InfoName: info, media.ManifestName: []byte("<MPD/> of " + r.Node), "v_init.m4s": []byte("init"), "v_seg_0001.m4s": []byte("segment"),
	} {
		if err := store.Put(t.Context(), r.RecordDir+"/"+name, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
}

// openCatalogue opens a database beside those who use it.
func openCatalogue(t *testing.T, url string) *catalogue.DB {
	t.Helper()
	db, err := catalogue.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// entries returns all that a catalogue has, entry by entry.
func entries(t *testing.T, db *catalogue.DB) []string {
	t.Helper()
	list, _, err := db.List(t.Context(), media.RecordingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, len(list))
	for i, r := range list {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = r.RecordDir + " " + string(data)
	}
	slices.Sort(all)
	return all
}

// expected returns the entries of a manager for recordings: what alias has to say
// of them in place of their node, and where they are.
func expected(t *testing.T, alias string, local bool, list ...media.Recording) []string {
	t.Helper()
	all := make([]string, len(list))
	for i, r := range list {
		r.Node = alias
		if local {
			r.RecordDir, r.MPDPath = "@"+alias+"/"+r.RecordDir, "@"+alias+"/"+r.MPDPath
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = r.RecordDir + " " + string(data)
	}
	return all
}

// followedBy waits until the manager's catalogue has what is wanted and nothing
// else, and is level with all nodes.
func followedBy(t *testing.T, db *catalogue.DB, want []string) {
	t.Helper()
	slices.Sort(want)
	deadline := time.Now().Add(time.Minute)
	for {
		got := entries(t, db)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the catalogue does not become what it should be:\n%s", difference(got, want))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func difference(got, want []string) string {
	var b strings.Builder
	for _, e := range got {
		if !slices.Contains(want, e) {
			fmt.Fprintf(&b, "has   %s\n", e)
		}
	}
	for _, e := range want {
		if !slices.Contains(got, e) {
			fmt.Fprintf(&b, "lacks %s\n", e)
		}
	}
	return b.String()
}

// level waits until the manager has followed its nodes, which are quiet, to the end.
func level(t *testing.T, m *server, nodes map[string]*archive) {
	t.Helper()
	for alias, a := range nodes {
		until(t, "the manager is level with "+alias, func() bool {
			var n api.FleetNode
			m.call(http.MethodGet, "/api/nodes/"+alias, "", &n)
			if n.Feed.UpdatedAt.IsZero() || n.Feed.Error != "" {
				return false
			}
			resp, more := a.request(http.MethodGet, fmt.Sprintf("/api/recordings?since=%d", n.Feed.Seq), "")
			return resp.StatusCode == http.StatusOK && strings.Contains(more, `"changes":[]`)
		})
	}
}

// Catalogues that are rebuilt, or of which one side is an old copy, arrive at what
// there is: in both kinds of database, and of both kinds of storage.
func TestArchives(t *testing.T) {
	t.Parallel()
	kinds, where := databases(t), places(t)
	for _, kind := range kinds {
		for name, test := range map[string]func(*testing.T, databaseKind){
			"manager restored": managerRestored, "off for long": offForLong,
			"node restored, shared": func(t *testing.T, kind databaseKind) { nodeRestored(t, kind, false) },
			"node restored, local":  func(t *testing.T, kind databaseKind) { nodeRestored(t, kind, true) },
		} {
			t.Run(kind.name+", "+name, func(t *testing.T) {
				t.Parallel()
				test(t, kind)
			})
		}
		for name, place := range where {
			at := place(t)
			t.Run(kind.name+", rebuilt from "+name, func(t *testing.T) {
				t.Parallel()
				rebuiltIsFollowed(t, kind, at)
			})
		}
	}
}

// databaseKind is a kind of database of a manager.
type databaseKind struct {
	name string
	make func() string
	// save returns a function that puts the database, which nobody uses, back to
	// what it is now.
	save func(url string) (restore func())
}

// databases are SQLite and PostgreSQL.
func databases(t *testing.T) []databaseKind {
	t.Helper()
	postgres := pgtest.Start(t)
	var one sync.Mutex // a server is for one goroutine at a time
	return []databaseKind{
		{"sqlite", func() string { return "sqlite://" + filepath.Join(t.TempDir(), "liveman.db") }, func(url string) func() {
			return saveFiles(t, strings.TrimPrefix(url, "sqlite://"))
		}},
		{"postgres", func() string {
			one.Lock()
			defer one.Unlock()
			return postgres.Database()
		}, func(url string) func() {
			one.Lock()
			defer one.Unlock()
			dump := postgres.Dump(url)
			return func() {
				one.Lock()
				defer one.Unlock()
				postgres.Load(url, dump)
			}
		}},
	}
}

// places are a folder and a bucket, each made when it is asked for.
func places(t *testing.T) map[string]func(*testing.T) config.Storage {
	t.Helper()
	minio := miniotest.Start(t)
	roots := 0
	return map[string]func(*testing.T) config.Storage{
		"fs": func(t *testing.T) config.Storage {
			return config.Storage{Type: config.StorageFS, Root: t.TempDir()}
		},
		"minio": func(*testing.T) config.Storage {
			roots++
			return config.Storage{
				Type: config.StorageS3, Bucket: minio.Bucket, Root: fmt.Sprintf("/archive-%d", roots), Region: miniotest.Region, Endpoint: minio.Endpoint,
				AccessKeyID: minio.AccessKey, SecretAccessKey: config.Secret(minio.SecretKey), DisableConfigLoad: true,
			}
		},
	}
}

// rebuild runs the command.
func rebuild(t *testing.T, cfg *config.Liveman) (said string, ok bool) {
	t.Helper()
	var out bytes.Buffer
	ok, err := Rebuild(t.Context(), cfg, Command{JSON: true, Stdout: &out, Stderr: t.Output(), Logger: logger(t)})
	if err != nil {
		t.Fatalf("rebuild: %v %s", err, out.String())
	}
	return out.String(), ok
}

// managerOf is the configuration of a manager of nodes by their aliases, with
// shared storage and a database.
func managerOf(url string, place config.Storage, nodes map[string]*archive) *config.Liveman {
	cfg := config.DefaultLiveman()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Database.URL = config.DatabaseURL(url)
	cfg.Fleet.Poll, cfg.Fleet.Timeout = 1, 2
	cfg.Storage = place
	for alias, n := range nodes {
		cfg.Nodes = append(cfg.Nodes, config.Node{
			Alias: alias, URL: n.url, Token: nodeToken, LocalStorage: n.place != place,
		})
	}
	return cfg
}

// run starts a manager with a configuration.
func run(t *testing.T, cfg *config.Liveman) *server {
	t.Helper()
	return startManager(t, t.TempDir(), nil, func(c *config.Liveman) { *c = *cfg })
}

// deleteRows takes rows out of a catalogue, as a damage would.
func deleteRows(t *testing.T, db *catalogue.DB, dirs ...string) {
	t.Helper()
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, db.Delete(t.Context(), dir))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
