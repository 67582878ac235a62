package recorder

import (
	"context"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/record/recording"
)

const (
	// sampleEvery is how often objects of a running recording are looked for.
	sampleEvery = time.Minute
	// samplesAtOnce is how many recordings are looked at in one round, and
	// sampleTimeout how long a round may take.
	samplesAtOnce = 20
	sampleTimeout = 5 * time.Second
)

// LookStored checks once a minute whether storage still has objects of the running
// recordings: an init segment and one other of each. The error names those that are
// gone. If storage does not answer, nothing is known.
func (r *Recorder) LookStored(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	r.mu.Lock()
	recs := slices.Collect(maps.Values(r.active))
	r.mu.Unlock()
	recs = slices.DeleteFunc(recs, (*recording.Recording).IsSealed)
	slices.SortFunc(recs, func(a, b *recording.Recording) int { return a.Looked().Compare(b.Looked()) })
	now := r.o.Now()
	for i, rec := range recs {
		if i == samplesAtOnce || now.Sub(rec.Looked()) < sampleEvery || ctx.Err() != nil {
			break
		}
		rec.Look(ctx, now)
	}
	var gone []string
	for _, rec := range recs {
		if name := rec.Gone(); name != "" {
			gone = append(gone, path.Join(rec.Dir(), name))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return fault.Errorf(fault.Unavailable, "objects that were stored are gone, of %d recordings that run, %s for one: was the folder replaced, or does a rule of the bucket delete objects?",
		len(gone), slices.Min(gone)).Coded("objects_gone")
}
