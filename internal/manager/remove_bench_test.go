//go:build !norecorder

package manager

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage/fs"
)

// removedStreams is of how many streams a node has recordings that is removed, and
// rowsVariable how many, if not 1,000,000.
const (
	removedStreams = 5_000
	rowsVariable   = "REMOVED_ROWS"
)

// BenchmarkRemoval removes a node that has kept 1,000,000 recordings itself: how long it
// is in a list, how long until the tables have nothing of it, and how long others wait
// meanwhile who register, and who ask for lists.
func BenchmarkRemoval(b *testing.B) {
	rows := 1_000_000
	if text := os.Getenv(rowsVariable); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatalf("%s: %v", rowsVariable, err)
		}
	}
	server := pgtest.Start(b)
	for name, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite://" + filepath.Join(b.TempDir(), "liveman.db") },
		"postgres": server.Database,
	} {
		b.Run(name, func(b *testing.B) {
			db, err := catalogue.Open(b.Context(), url())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			for range b.N {
				fillRemoved(b, db, rows)
				benchmarkRemoval(b, db)
			}
		})
	}
}

func fillRemoved(b *testing.B, db *catalogue.DB, rows int) {
	b.Helper()
	b.StopTimer()
	defer b.StartTimer()
	const batch = 200 // which a database takes in its time on a busy machine too
	for from := 0; from < rows; from += batch {
		all := make([]media.Recording, batch)
		for i := range all {
			n := from + i
			all[i] = completeRecording("edge", fmt.Sprintf("@edge/cam-%d/%d", n%removedStreams, 1000+n))
			all[i].Stream = fmt.Sprintf("cam-%d", n%removedStreams)
		}
		if err := db.PutAll(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkRemoval(b *testing.B, db *catalogue.DB) {
	b.Helper()
	store, err := fs.New(b.TempDir(), fs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	f := newFleet(fleetOptions{
		Catalogue: db, Storage: store, Poll: time.Minute, Timeout: time.Second, Control: time.Second,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	defer func() { _ = store.Close() }()
	defer f.close()
	close(f.opened)
	l := &library{fleet: f, now: f.now}
	register := func(alias string) (took time.Duration) {
		began := time.Now()
		if _, _, err := f.Register(b.Context(), api.NodeRegistration{Alias: alias, URL: "http://192.0.2.1/" + alias, LocalStorage: true}, true); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	register("edge")
	began := time.Now()
	if err := f.Remove(b.Context(), "edge"); err != nil {
		b.Fatal(err)
	}
	listed := emptyLists(b, l)
	gone := time.Since(began)
	var waited time.Duration
	for i := 0; f.going.has("edge"); i++ {
		waited = max(waited, register(fmt.Sprintf("late-%d", i%100)))
		listed = max(listed, emptyLists(b, l))
		peer.Pause(b.Context(), time.Second, nil)
	}
	b.ReportMetric(gone.Seconds(), "s/lists")
	b.ReportMetric(time.Since(began).Seconds(), "s/tables")
	b.ReportMetric(float64(waited.Milliseconds()), "ms/registration")
	b.ReportMetric(float64(listed.Milliseconds()), "ms/list")
}

// emptyLists wants nothing in the lists, and returns what the slowest of them took.
func emptyLists(b *testing.B, l *library) (slowest time.Duration) {
	b.Helper()
	for name, list := range map[string]func() (n int, err error){
		"recordings": func() (int, error) {
			page, err := l.Recordings(b.Context(), media.RecordingQuery{Stream: "cam-7", Limit: api.MaxPage})
			return len(page.Recordings) + page.Total, err
		},
		"streams": func() (int, error) {
			sums, err := l.Streams(b.Context(), media.StreamQuery{Limit: api.MaxPage})
			return len(sums), err
		},
		"nodes": func() (n int, _ error) {
			for _, node := range l.fleet.Nodes() {
				if node.Alias == "edge" {
					n++
				}
			}
			return n, nil
		},
	} {
		began := time.Now()
		if n, err := list(); err != nil || n > 0 {
			b.Fatalf("%s: %d, %v", name, n, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}
