package span

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

const (
	// maxHeld is how many bytes of memory the manifests take that were read and are kept.
	maxHeld = 64 << 20
	// atOnce is how many manifests are read at the same time for one answer.
	atOnce = 8
)

// parsed keeps the manifests that were read last. Safe for concurrent use.
type parsed struct {
	most int64

	mu    sync.Mutex
	byDir map[string]*kept
	held  int64
	uses  int64
}

// kept is a manifest that was read.
type kept struct {
	presentation *manifest.Presentation
	sum          [sha256.Size]byte // of the text
	version      string            // of the recording, as the catalogue has it
	bytes        int64
	used         int64
}

func newParsed() *parsed { return &parsed{most: maxHeld, byDir: map[string]*kept{}} }

// find returns what is kept of a recording, nil for nothing.
func (p *parsed) find(dir string) *kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.byDir[dir]
	if k != nil {
		p.uses++
		k.used = p.uses
	}
	return k
}

// keep replaces what is kept of a recording, and forgets what was used least recently.
func (p *parsed) keep(dir string, k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.byDir[dir]; old != nil {
		p.held -= old.bytes
	}
	p.uses++
	k.used = p.uses
	p.byDir[dir] = k
	for p.held += k.bytes; p.held > p.most; {
		oldest := dir
		for d, other := range p.byDir {
			if other.used < p.byDir[oldest].used {
				oldest = d
			}
		}
		p.held -= p.byDir[oldest].bytes
		delete(p.byDir, oldest)
	}
}

// presentations returns the presentations of the recordings of pieces: nil of one that has
// no manifest yet, or no more. away has why some of them, by their record_dirs, cannot be
// had now.
func (l *Library) presentations(ctx context.Context, pieces []piece) (all []*manifest.Presentation, away map[string]error, err error) {
	all = make([]*manifest.Presentation, len(pieces))
	errs := make([]error, len(pieces))
	var next sync.Mutex
	n := 0
	take := func() int {
		next.Lock()
		defer next.Unlock()
		n++
		return n - 1
	}
	var workers sync.WaitGroup
	for range min(atOnce, len(pieces)) {
		workers.Go(func() {
			for i := take(); i < len(pieces) && ctx.Err() == nil; i = take() {
				all[i], errs[i] = l.presentation(ctx, pieces[i].rec)
			}
		})
	}
	workers.Wait()
	away = map[string]error{}
	for i, err := range errs {
		dir := pieces[i].rec.RecordDir
		switch {
		case err == nil:
		case fault.KindOf(err) == fault.Unavailable:
			away[dir] = fmt.Errorf("recording %q: %w", dir, err)
		default:
			return nil, nil, fmt.Errorf("recording %q: %w", dir, err)
		}
	}
	return all, away, ctx.Err()
}

// presentation returns what a recording consists of now; nil: there is no manifest.
func (l *Library) presentation(ctx context.Context, r media.Recording) (*manifest.Presentation, error) {
	old := l.parsed.find(r.RecordDir)
	if old != nil && old.version == versionOf(r) && !old.presentation.Dynamic {
		return old.presentation, nil
	}
	text, err := l.source.Manifest(ctx, r.RecordDir)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, err
	}
	k := &kept{sum: sha256.Sum256(text), version: versionOf(r), bytes: int64(len(text))}
	if old != nil && old.sum == k.sum {
		k.presentation, k.bytes = old.presentation, old.bytes
	} else if k.presentation, err = manifest.Parse(text); err != nil {
		l.log.Error("a manifest cannot be read, so that spans lack its recording", "stream", r.Stream, "record_dir", r.RecordDir, "error", err)
		return nil, nil //nolint:nilnil // the others can be had
	} else {
		k.bytes = k.presentation.Held()
	}
	l.parsed.keep(r.RecordDir, k)
	return k.presentation, nil
}

// versionOf tells apart what a recording was and is.
func versionOf(r media.Recording) string {
	return fmt.Sprint(r.Status, r.Start.UnixMilli(), r.Duration, r.Bytes)
}
