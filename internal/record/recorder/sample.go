package recorder

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// A rule of a bucket may delete objects while their recording runs. All of them are
// looked for when it ends. Until then a few are looked for now and then, so that
// somebody can do something in time.

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
	recs = slices.DeleteFunc(recs, (*recording).isSealed)
	slices.SortFunc(recs, func(a, b *recording) int { return a.sampledAt().Compare(b.sampledAt()) })
	now := r.o.Now()
	for i, rec := range recs {
		if i == samplesAtOnce || now.Sub(rec.sampledAt()) < sampleEvery || ctx.Err() != nil {
			break
		}
		rec.sample(ctx, now)
	}
	var gone []string
	for _, rec := range recs {
		if name := rec.goneObject(); name != "" {
			gone = append(gone, path.Join(rec.dir, name))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return fault.Errorf(fault.Unavailable, "objects that were stored are gone, of %d recordings that run, %s for one: was the folder replaced, or does a rule of the bucket delete objects?",
		len(gone), slices.Min(gone))
}

// sampledAt returns when a recording's objects were last looked for.
func (rec *recording) sampledAt() time.Time {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sampled
}

// goneObject returns the name of an object that storage has taken and has no more.
func (rec *recording) goneObject() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.gone
}

// sample looks for some objects of the recording, first for one that was gone before:
// its folder may be there again.
func (rec *recording) sample(ctx context.Context, now time.Time) {
	names, gone := rec.samples(), ""
	if len(names) == 0 {
		return // nothing is stored yet
	}
	for _, name := range names {
		_, err := rec.r.o.Store.Stat(ctx, path.Join(rec.dir, name))
		if errors.Is(err, storage.ErrNotFound) {
			gone = name
			break
		}
		if err != nil { // it is not known
			gone = rec.goneObject()
			break
		}
	}
	if gone != "" && rec.goneObject() == "" {
		rec.r.log.Error("storage has lost parts of a recording that runs", "record_dir", rec.dir, "object", gone)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.sampled, rec.gone = now, gone
	if rec.sealed {
		return // by now: the verdict says it
	}
	if rec.info.Reason = ""; gone != "" {
		rec.info.Reason = "storage does not have " + gone + " any more, which it had taken"
	}
}

// samples returns names of objects that storage has taken: the init segment of a lane,
// and one of its segments.
func (rec *recording) samples() []string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var names []string
	lanes := 0
	for _, p := range rec.pres.Periods {
		for _, set := range p.Sets {
			for _, r := range set.Representations {
				if r.Format == nil || r.Timeline == nil || r.Timeline.Len() == 0 {
					continue
				}
				if lanes++; rand.IntN(lanes) == 0 { // each is as likely
					names = []string{r.Init, media.SegmentName(r.Media, r.StartNumber+rand.IntN(r.Timeline.Len()))}
				}
			}
		}
	}
	if rec.gone != "" {
		names = append([]string{rec.gone}, names...)
	}
	return names
}
