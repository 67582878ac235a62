package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// decoded is of how many runs one is decoded.
const decoded = 16

// judge holds what a run has left in a folder against the truth.
type judge struct {
	*truth
	sc         *Scenario
	start      time.Time
	recordings []*recorded
	placed     map[lane][]placed
	push       map[*senderTruth]time.Duration // by what pushed returns
	begun      map[string]time.Duration       // when recordings began
	sealed     map[string]time.Duration       // until when recordings took something in, or later
}

// recorded is a recording that was read back.
type recorded struct {
	*verify.Recording
	at    time.Duration // of media time 0
	until time.Duration
	begun time.Duration // when the recorder began it, if storage had failed until then; else 0
}

// judge finds what is wrong with a run's recordings.
func (w *world) judge(t *testing.T, root string) *judge {
	j := &judge{truth: &w.truth, sc: w.sc, start: w.start, begun: w.told("recording started"), sealed: w.sealed()}
	j.read(t, root)
	j.hold()
	return j
}

// hold holds the recordings that were read against the truth, lane by lane.
func (j *judge) hold() {
	for _, r := range j.recordings {
		j.alone(r)
	}
	until := j.stopped
	if until == 0 {
		until = math.MaxInt64
	}
	for _, tr := range j.tracks() {
		tr.decide(j.started, until)
	}
	j.placed, j.push = map[lane][]placed{}, map[*senderTruth]time.Duration{}
	for _, l := range j.lanes() {
		j.placed[l] = j.place(l, j.sent(l))
	}
	for _, l := range j.lanes() {
		j.checkOrder(j.placed[l])
		j.checkDisplaced(l, j.placed[l])
		j.checkMissing(l, j.sent(l))
		j.checkGaps(l, j.placed[l])
	}
	j.checkSync()
	j.sums()
	j.verdicts()
}

// sealed finds in the log when recordings ended. What came after somebody had asked for that
// is in none.
func (w *world) sealed() map[string]time.Duration {
	at := w.told("recording ended")
	for dir := range at {
		if w.truth.stopped > 0 {
			at[dir] = min(at[dir], w.truth.stopped-asked)
		}
	}
	return at
}

// told finds in the log when something was said of recordings.
func (w *world) told(what string) map[string]time.Duration {
	at := map[string]time.Duration{}
	for line := range strings.SplitSeq(w.log.String(), "\n") {
		_, dir, ok := strings.Cut(line, fmt.Sprintf("msg=%q", what))
		if _, dir, _ = strings.Cut(dir, "record_dir="); !ok || dir == "" {
			continue
		}
		dir, _, _ = strings.Cut(dir, " ")
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		if t, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			at[dir] = t.Sub(w.start)
		}
	}
	return at
}

// read reads all recordings, in the order of time.
func (j *judge) read(t *testing.T, root string) {
	store, err := fs.New(root, fs.Options{NoSync: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for o, err := range store.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if dir, ok := strings.CutSuffix(o.Key, "/"+media.InfoName); ok {
			j.readOne(t, store, dir)
		} else if strings.HasPrefix(o.Key, journals) {
			j.fault("journal", "%s is left", o.Key)
		}
	}
	slices.SortFunc(j.recordings, func(a, b *recorded) int { return int(a.at - b.at) })
	for _, r := range j.recordings {
		begun := j.begun[r.Dir]
		if slices.ContainsFunc(j.noted, func(n noted) bool { return n.kind == "storage fails" && n.from < begun && begun < n.to+retried }) &&
			!slices.ContainsFunc(j.recordings, func(o *recorded) bool { return o != r && (r.at-o.until).Abs() < ends }) {
			r.begun = begun
		}
	}
}

// readOne reads a recording.
func (j *judge) readOne(t *testing.T, store storage.Backend, dir string) {
	rec, err := verify.ReadRecording(context.Background(), store, dir)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		j.empty(t, store, dir)
	case err != nil:
		j.fault("unreadable", "%s: %v", dir, err)
	case rec.Info == nil:
		j.fault("info", "%s has no recording.json", dir)
	default:
		at := rec.Start.Sub(j.start)
		j.recordings = append(j.recordings, &recorded{Recording: rec, at: at, until: at + rec.Duration})
		if j.sc.Seed%decoded == 0 || os.Getenv("CHAOS_SEED") != "" {
			j.decode(t, store, rec)
		}
	}
}

// empty judges a folder without a manifest: there is no media in it.
func (j *judge) empty(t *testing.T, store storage.Backend, dir string) {
	for o, err := range store.List(context.Background(), dir) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(o.Key, "_seg_") {
			j.fault("manifest", "%s has none, and %s", dir, o.Key)
		}
	}
}

// alone judges a recording without what was sent: it is whole, sealed, and shown by players.
func (j *judge) alone(r *recorded) {
	for _, p := range r.Problems {
		j.fault("verify", "%s: %s", r.Dir, p)
	}
	for _, p := range verify.Audit(r.Recording) {
		j.fault("audit", "%s: %s", r.Dir, p)
	}
	j.players(r.Recording)
	if r.Info.Status == media.StatusRecording || r.Dynamic {
		j.fault("unsealed", "%s is %s, dynamic %v", r.Dir, r.Info.Status, r.Dynamic)
	}
}

// players finds what players would not show.
func (j *judge) players(rec *verify.Recording) {
	all := verify.Forecasts(rec)
	for _, f := range all[1:] {
		if f.Player == "ffmpeg" && len(rec.Periods) > 1 {
			continue // it reads one of them
		}
		if f.Less(all[0]) {
			j.fault("players", "%s shows %.1f s of picture and %.1f s of sound of %s, which has %.1f s and %.1f s: %s",
				f.Player, f.Picture, f.Sound, rec.Dir, all[0].Picture, all[0].Sound, strings.Join(f.Notes, "; "))
		}
	}
}

// decode decodes a recording with ffmpeg.
func (j *judge) decode(t *testing.T, store storage.Backend, rec *verify.Recording) {
	d, err := verify.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	_, problems, err := d.Decode(t.Context(), store, rec)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		j.fault("decode", "%s: %s", rec.Dir, p)
	}
}

// ledger returns what recording.json says of a lane, nil if it says nothing.
func (r *recorded) ledger(l lane) *media.RecordingTrack {
	for i := range r.Info.Tracks {
		if tr := &r.Info.Tracks[i]; tr.Kind == l.kind.String() && tr.Layer == l.layer {
			return tr
		}
	}
	return nil
}

// gaps returns the gaps of a lane.
func (r *recorded) gaps(l lane) []media.Gap {
	if tr := r.ledger(l); tr != nil {
		return tr.Gaps
	}
	return nil
}

func dur(seconds float64) time.Duration { return time.Duration(math.Round(seconds * 1e9)) }
