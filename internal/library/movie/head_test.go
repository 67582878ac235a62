package movie

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// A file that is made of a summary is the one that is made of the segments, whatever they
// are like: holes, changes of size, pictures in another order, a part of it.
func TestSummaryMakesTheSame(t *testing.T) {
	for _, name := range shapesOfOneFile {
		t.Run(name, func(t *testing.T) {
			r := record(t, name).open(t)
			for _, clip := range [][2]time.Duration{{0, 0}, {1300 * time.Millisecond, 9100 * time.Millisecond}} {
				p, err := NewPlan([]Source{r.source(t, clip[0], clip[1])}, Choice{})
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := p.Open(t.Context(), p.Files[0], Opening{Backend: r.store, Title: Title{Name: "camera"}})
				if err != nil {
					t.Fatal(err)
				}
				got := r.ofSummaries(t, p)
				if got.ETag() != want.ETag() || !bytes.Equal(r.readOf(t, got), r.readOf(t, want)) {
					t.Errorf("from %v on: %d bytes and ETag %s, want %d and %s", clip[0], got.Size(), got.ETag(), want.Size(), want.ETag())
				}
			}
		})
	}
}

// ofSummaries makes the file of a plan of summaries.
func (r *recorded) ofSummaries(t *testing.T, p *Plan) *Movie {
	t.Helper()
	o := p.opener(Opening{Backend: r.store, Title: Title{Name: "camera"}})
	var all []*piece
	for _, pieces := range p.Files[0].tracks {
		all = append(all, pieces...)
	}
	if err := o.prepare(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		names, err := filepath.Glob(filepath.Join(r.root, one.dir, media.SampleSummaryName(one.segments[0].name)[:1]+"*_samples_*.idx"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%q, %v", names, err)
		}
		for i := range one.segments {
			s := &one.segments[i]
			if tables, ok := o.indexed(t.Context(), one, s); ok {
				o.known[one].summary = append(o.known[one].summary, fmp4.Summarize(s.number, tables))
			}
		}
	}
	m, missing, err := o.open(t.Context(), p, p.Files[0])
	if err != nil || len(missing) > 0 {
		t.Fatalf("%v, missing %q", err, missing)
	}
	return m
}

// The head of a long file is made in pieces: the first byte needs no index, a range those
// that it is made of, and each piece is what the whole has there.
func TestHeadInPieces(t *testing.T) {
	d, manifest := newDay(t, 2*time.Hour)
	m, _, err := Open(t.Context(), d, "camera/1", manifest, Title{Name: "camera"})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.gets.Load(); n != 4 {
		t.Errorf("%d requests, want those of two init segments and two summaries", n)
	}
	whole, err := io.ReadAll(io.LimitReader(m.NewReader(t.Context(), d), m.head.size))
	if err != nil || int64(len(whole)) != m.head.size {
		t.Fatalf("%d bytes of %d, %v", len(whole), m.head.size, err)
	}
	if n := d.gets.Load() - 4; n != 16 {
		t.Errorf("%d requests for the 16 indexes", n)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 20 {
		again, _, err := Open(t.Context(), d, "camera/1", manifest, Title{Name: "camera"})
		if err != nil || again.ETag() != m.ETag() || again.Size() != m.Size() {
			t.Fatalf("made again it is %v, %v", again, err)
		}
		d.gets.Store(0)
		reader := again.NewReader(t.Context(), d)
		at := rng.Int64N(m.head.size)
		part := make([]byte, min(1+rng.Int64N(5000), m.head.size-at))
		if _, err := reader.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(reader, part); err != nil || !bytes.Equal(part, whole[at:at+int64(len(part))]) {
			t.Fatalf("range %d: %d bytes from %d on are others than those of the whole, %v", i, len(part), at, err)
		}
		if n := d.gets.Load(); n > 4 {
			t.Errorf("%d requests for %d bytes", n, len(part))
		}
	}
	for name := range d.objects {
		if name == "v_samples.idx" || name == "a_samples.idx" {
			delete(d.objects, name)
		}
	}
	without, _, err := Open(t.Context(), d, "camera/1", manifest, Title{Name: "camera"})
	if err != nil || without.ETag() != m.ETag() || without.Size() != m.Size() {
		t.Errorf("without summaries it is another file: %v", err)
	}
}

// An index that says something else than its summary is not believed: the file breaks off,
// and who has it made anew can tell.
func TestStaleSummary(t *testing.T) {
	d, manifest := newDay(t, time.Hour)
	m, _, err := Open(t.Context(), d, "camera/1", manifest, Title{})
	if err != nil {
		t.Fatal(err)
	}
	var x fmp4.Index
	tables, size := d.tables(media.Video, 1)
	tables[0].Samples[3].Duration++
	x.Add(fmp4.IndexedSegment{Number: 1, Bytes: size, Tables: tables})
	d.objects["v_samples_0001.idx"] = x.Bytes()
	if _, err := io.Copy(io.Discard, m.NewReader(t.Context(), d)); !IsStale(err) {
		t.Errorf("of another index: %v", err)
	}
	delete(d.objects, "v_samples_0001.idx")
	if m, _, err = Open(t.Context(), d, "camera/1", manifest, Title{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, m.NewReader(t.Context(), d)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of a lost index: %v", err)
	}
}

// Of the indexes of a file, so many are kept.
func TestIndexesAreBounded(t *testing.T) {
	x := newIndexes()
	for n := range 40 {
		g := &group{indexes: x}
		g.keep(&fmp4.IndexFile{}, maxIndexes/16, nil)
		if _, ok, _ := g.kept(); !ok {
			t.Fatalf("index %d is not kept", n)
		}
	}
	if len(x.loaded) != 16 || x.bytes != maxIndexes {
		t.Errorf("%d indexes of %d bytes are kept", len(x.loaded), x.bytes)
	}
}
