package recording

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// A rule of a bucket may delete objects while their recording runs. All of them are
// looked for when it ends. Until then a few are looked for now and then, so that
// somebody can do something in time.

// Looked returns when a recording's objects were last looked for.
func (rec *Recording) Looked() time.Time {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sampled
}

// Gone returns the name of an object that storage has taken and has no more.
func (rec *Recording) Gone() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.gone
}

// Look looks for some objects of the recording, first for one that was gone before:
// its folder may be there again.
func (rec *Recording) Look(ctx context.Context, now time.Time) {
	names, gone := rec.samples(), ""
	if len(names) == 0 {
		return // nothing is stored yet
	}
	for _, name := range names {
		_, err := rec.store().Stat(ctx, path.Join(rec.dir, name))
		if errors.Is(err, storage.ErrNotFound) {
			gone = name
			break
		}
		if err != nil { // it is not known
			gone = rec.Gone()
			break
		}
	}
	if gone != "" && rec.Gone() == "" {
		rec.log().Error("storage has lost parts of a recording that runs", "record_dir", rec.dir, "object", gone)
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
func (rec *Recording) samples() []string {
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
