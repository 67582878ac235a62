package recorder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/segmenter"
	storagefs "github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/journal"
)

// BenchmarkRecover is the start of a node that died while it recorded a thousand
// streams, with everything made durable.
func BenchmarkRecover(b *testing.B) {
	const streams = 1000
	img := interrupted(b)
	for b.Loop() {
		b.StopTimer()
		root := b.TempDir()
		for i := range streams {
			multiply(b, img, root, fmt.Sprintf("stream%04d", i))
		}
		r := thousand(b, root)
		b.StartTimer()
		if err := r.Recover(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := len(r.Active()); n > 0 {
			b.Fatalf("%d recordings are not sealed", n)
		}
		if left, err := os.ReadDir(filepath.Join(root, journalFolder)); err != nil || len(left) > 0 {
			b.Fatalf("%d journals are left (%v)", len(left), err)
		}
		if err := r.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/1000-recordings")
}

// interrupted returns what is left of a recorder that died in the middle of a
// segment of each track.
func interrupted(b *testing.B) (dir string) {
	b.Helper()
	images, _ := film(b, false, "h264_baseline.h264", segmenter.SyncOff)
	return images[100].dir
}

// multiply copies what is left of the stream "camera" as another stream's.
func multiply(b *testing.B, img, root, stream string) {
	b.Helper()
	rename := func(data []byte) []byte {
		return bytes.ReplaceAll(data, []byte("camera"), []byte(stream))
	}
	err := fs.WalkDir(os.DirFS(img), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(img, name))
		if err != nil {
			return err
		}
		to := string(rename([]byte(name)))
		switch {
		case path.Dir(name) == journalFolder:
			data = rename(data)
			sum := sha256.Sum256([]byte(stream)) // any name does
			to = path.Join(journalFolder, hex.EncodeToString(sum[:16])+".journal")
		case path.Base(name) == infoName:
			data = rename(data)
		}
		to = filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// thousand returns a recorder on a folder.
func thousand(b *testing.B, root string) *Recorder {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := storagefs.New(root, storagefs.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Options{
		Streams: live.New(live.Options{Logger: log}), Store: store, Catalogue: &shelf{last: map[string]media.Recording{}},
		Journals: journal.Open(filepath.Join(root, journalFolder), false), SegmentDuration: time.Second, ChunkDuration: 250 * time.Millisecond, Sync: segmenter.SyncSegment, Logger: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}
