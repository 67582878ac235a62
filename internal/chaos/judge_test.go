package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/verify"
)

const (
	// near is how far a recorded sample may be from when it was captured, and still
	// be that: the sources repeat themselves after ten seconds.
	near = 2 * time.Second
	// nearFilled is the same where the ledger says that it is not what was sent.
	nearFilled = 300 * time.Millisecond
	// short is a pause of a sender that need not be told.
	short = time.Second
	// grace is how much more than a chunk a crash may cost: what waits for a packet
	// that is late.
	grace = 2500 * time.Millisecond
	// edge is by how much a gap may reach into what was recorded.
	edge = 60 * time.Millisecond
	// unsure is how long the recorder may know the clocks of other streams by their
	// arrivals only: until a report comes.
	unsure = 1500 * time.Millisecond
	// rounded is by how much the end of a gap is not known: the ledger has whole
	// milliseconds, of its beginning and of its duration. Copies right before the end may
	// be shorter than that, and the picture that ends a gap seem to be in it.
	rounded = time.Millisecond
	// decoded is of how many runs one is decoded.
	decoded = 16
	// maxSync is how far audio and video may be apart.
	maxSync = 45 * time.Millisecond
)

// judge holds what a run has left in a folder against the truth.
type judge struct {
	*truth
	sc         *Scenario
	start      time.Time
	recordings []*recorded
	placed     map[lane][]placed
	sealed     map[string]time.Duration // when recordings ended, or later
}

// recorded is a recording that was read back.
type recorded struct {
	*verify.Recording
	info  media.Recording
	at    time.Duration // of media time 0
	until time.Duration
}

// judge finds what is wrong with a run's recordings.
func (w *world) judge(t *testing.T, root string) *judge {
	j := &judge{truth: &w.truth, sc: w.sc, start: w.start, placed: map[lane][]placed{}, sealed: w.sealed()}
	j.read(t, root)
	until := j.stopped
	if until == 0 {
		until = math.MaxInt64
	}
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			tr.decide(j.sc.Manual, until)
		}
	}
	for _, l := range j.lanes() {
		j.lane(l)
	}
	j.checkSync(j.placed[lane{media.Audio, 0}])
	j.verdicts()
	j.sums()
	return j
}

// sealed finds in the log when recordings ended. Its clock does not know of the times in
// which the node stood still: all of them may have been before.
func (w *world) sealed() map[string]time.Duration {
	at := map[string]time.Duration{}
	for line := range strings.SplitSeq(w.log.String(), "\n") {
		_, dir, ok := strings.Cut(line, `msg="recording ended"`)
		if _, dir, _ = strings.Cut(dir, "record_dir="); !ok || dir == "" {
			continue
		}
		dir, _, _ = strings.Cut(dir, " ")
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		if t, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			at[dir] = t.Sub(w.start) + time.Duration(w.skipped.Load())
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
		dir, ok := strings.CutSuffix(o.Key, "/"+media.InfoName)
		if !ok {
			if strings.HasPrefix(o.Key, journals) {
				j.fault("journal", "%s is left", o.Key)
			}
			continue
		}
		rec, err := verify.ReadRecording(context.Background(), store, dir)
		if err != nil {
			if strings.Contains(err.Error(), "no such") || strings.Contains(err.Error(), "not found") {
				continue // nothing came to be in it
			}
			j.fault("unreadable", "%s: %v", dir, err)
			continue
		}
		for _, p := range rec.Problems {
			j.fault("verify", "%s: %s", dir, p)
		}
		for _, p := range verify.Audit(rec) {
			j.fault("audit", "%s: %s", dir, p)
		}
		j.players(rec)
		if j.sc.Seed%decoded == 0 || os.Getenv("CHAOS_SEED") != "" {
			j.decode(t, store, rec)
		}
		if rec.Info == nil {
			j.fault("info", "%s has no recording.json", dir)
			continue
		}
		if rec.Info.Status == media.StatusRecording || rec.Dynamic {
			j.fault("unsealed", "%s is %s, dynamic %v", dir, rec.Info.Status, rec.Dynamic)
		}
		at := rec.Start.Sub(j.start)
		j.recordings = append(j.recordings, &recorded{rec, *rec.Info, at, at + rec.Duration})
	}
	slices.SortFunc(j.recordings, func(a, b *recorded) int { return int(a.at - b.at) })
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

// lane is one of the parallel tracks: the audio, or a layer of the video.
type lane struct {
	kind  media.Kind
	layer int
}

func (l lane) id() string {
	if l.layer > 0 {
		return fmt.Sprintf("%s-%d", l.kind, l.layer+1)
	}
	return l.kind.String()
}

func (j *judge) lanes() (lanes []lane) {
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if l := (lane{tr.kind, tr.layer}); !slices.Contains(lanes, l) {
				lanes = append(lanes, l)
			}
		}
	}
	return lanes
}

// placed is a recorded sample with what it was found to be.
type placed struct {
	rec   *recorded
	start time.Duration // on the recording's media timeline
	end   time.Duration
	unit  *unit // nil: it fills
	truth *trackTruth
}

// lane judges one lane over all recordings.
func (j *judge) lane(l lane) {
	var sent []*unit
	of := map[*unit]*trackTruth{}
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if tr.kind == l.kind && tr.layer == l.layer {
				for _, u := range tr.units {
					of[u] = tr
				}
				sent = append(sent, tr.units...)
			}
		}
	}
	all := j.place(l, sent, of)
	j.placed[l] = all
	j.checkOrder(l, all, sent)
	j.checkMissing(l, sent)
	j.checkGaps(l, all)
}

// place finds out which unit each sample is.
func (j *judge) place(l lane, sent []*unit, of map[*unit]*trackTruth) (all []placed) {
	bySum := map[[sha256.Size]byte][]int{}
	for i, u := range sent {
		bySum[u.sum] = append(bySum[u.sum], i)
	}
	next, behind := 0, time.Duration(0)
	for n, rec := range j.recordings {
		tr, ok := rec.Layer(l.id())
		if !ok {
			continue
		}
		for i := range tr.Samples {
			s := &tr.Samples[i]
			p := placed{rec: rec, start: s.Shown().Duration(tr.Timescale), end: (s.Shown() + s.Duration).Duration(tr.Timescale)}
			at := rec.at + p.start - behind
			best, reach, filled := -1, near, p.inGap(l, true, -rounded)
			if filled {
				reach = nearFilled
			}
			for _, k := range bySum[sha256.Sum256(s.Data)] {
				if sent[k].whole() == no || filled && sent[k].decodable == no {
					continue // another one is the same: what has not arrived whole is not it, and of what cannot be decoded nothing stands in a gap
				}
				if d := (sent[k].captured - at).Abs(); k >= next && d < reach && (best < 0 || d < (sent[best].captured-at).Abs()) {
					best = k
				}
			}
			if best >= 0 && p.inGap(l, true, rounded) && j.nearer(l, n, i, sent[best].captured+behind) {
				best = -1
			}
			if best >= 0 {
				p.unit, p.truth = sent[best], of[sent[best]]
				p.unit.recorded = true
				behind = rec.at + p.start - p.unit.captured
				next = best + 1
			} else {
				j.checkFilled(l, &p, s, bySum)
			}
			all = append(all, p)
		}
	}
	return all
}

// nearer reports whether a sample that follows, in the n-th recording or the ones after, is
// the same as the i-th of that, and nearer to a time: the i-th stands for what was before.
func (j *judge) nearer(l lane, n, i int, at time.Duration) bool {
	tr, _ := j.recordings[n].Layer(l.id())
	s := &tr.Samples[i]
	off := (j.recordings[n].at + s.Shown().Duration(tr.Timescale) - at).Abs()
	for ; n < len(j.recordings); n, i = n+1, -1 {
		rec := j.recordings[n]
		tr, ok := rec.Layer(l.id())
		if !ok {
			continue
		}
		for k := i + 1; k < len(tr.Samples); k++ {
			d := rec.at + tr.Samples[k].Shown().Duration(tr.Timescale) - at
			if d > near {
				return false
			}
			if d.Abs() < off && bytes.Equal(tr.Samples[k].Data, s.Data) {
				return true
			}
		}
	}
	return false
}

// checkFilled judges a sample that is not what was sent at its time.
func (j *judge) checkFilled(l lane, p *placed, s *verify.Sample, bySum map[[sha256.Size]byte][]int) {
	known := len(bySum[sha256.Sum256(s.Data)]) > 0
	switch {
	case l.kind == media.Audio && len(s.Data) <= 20 && !known: // silence
	case p.inGap(l, true, rounded):
	case known:
		j.fault("mistimed", "%s of %s at %v was sent at another time", l.id(), p.rec.Dir, p.start)
	default:
		j.fault("extra", "%s of %s at %v (%d bytes) was never sent", l.id(), p.rec.Dir, p.start, len(s.Data))
	}
}

// inGap reports whether a sample begins in a gap that the ledger calls filled, or in any,
// that is longer by slack at its end.
func (p *placed) inGap(l lane, filled bool, slack time.Duration) bool {
	at := p.start
	if l.kind == media.Audio {
		at += (p.end - p.start) / 2 // the ledger's times are rounded
	}
	for _, g := range p.rec.gaps(l) {
		if (g.Filled || !filled) && at >= dur(g.Start)-2*time.Millisecond && at < dur(g.Start+g.Duration)+slack {
			return true
		}
	}
	return false
}

func (r *recorded) gaps(l lane) []media.Gap {
	if tr := r.ledger(l); tr != nil {
		return tr.Gaps
	}
	return nil
}

func (r *recorded) ledger(l lane) *media.RecordingTrack {
	for i := range r.info.Tracks {
		if tr := &r.info.Tracks[i]; tr.Kind == l.kind.String() && tr.Layer == l.layer {
			return tr
		}
	}
	return nil
}

func dur(seconds float64) time.Duration { return time.Duration(math.Round(seconds * 1e9)) }

// checkOrder finds video that nobody can decode: it does not follow what it needs.
func (j *judge) checkOrder(l lane, all []placed, sent []*unit) {
	if l.kind != media.Video {
		return
	}
	index := map[*unit]int{}
	for i, u := range sent {
		index[u] = i
	}
	last := -1
	for _, p := range all {
		if p.unit == nil {
			continue
		}
		i := index[p.unit]
		if !p.unit.key && last != i-1 {
			j.fault("undecodable", "video of %s at %v depends on what is not there", p.rec.Dir, p.start)
		}
		last = i
	}
}

// checkMissing finds units that should have been recorded and were not.
func (j *judge) checkMissing(l lane, sent []*unit) {
	first := -1
	corrected := int64(0)
	for _, r := range j.recordings {
		if tr := r.ledger(l); tr != nil {
			corrected += tr.PacketsCorrected
		}
	}
	var missing []*unit
	for i, u := range sent {
		if u.recorded && first < 0 {
			first = i
		}
		if !u.recorded && u.decodable == yes && !j.excused(l, u) {
			missing = append(missing, u)
		}
	}
	if slices.ContainsFunc(j.recordings, func(r *recorded) bool { return r.info.Recovered > 0 }) {
		corrected += 5 // of which a crash leaves no count
	}
	if l.kind == media.Audio && int64(len(missing)) <= corrected {
		return
	}
	if len(missing) > 0 {
		j.fault("missing", "%d units of %s that arrived, %d of them corrected away: %s", len(missing), l.id(), corrected, j.spans(missing))
	}
}

// spans lists when units were captured.
func (j *judge) spans(units []*unit) string {
	var b strings.Builder
	from, to, n, listed := units[0].captured, units[0].captured, 0, 0
	flush := func() {
		if listed++; listed <= 5 {
			fmt.Fprintf(&b, " %d from %v to %v;", n, from, to)
		}
	}
	for _, u := range units {
		if u.captured-to > 500*time.Millisecond {
			flush()
			from, n = u.captured, 0
		}
		to = u.captured
		n++
	}
	flush()
	return b.String()
}

// excused says whether a unit that arrived may be missing.
func (j *judge) excused(l lane, u *unit) bool {
	if j.sc.Manual > 0 && (!j.recording(u.captured) || u.at < j.sc.Manual+2*time.Second || j.stopped == 0 || u.at > j.stopped-50*time.Millisecond) {
		return true
	}
	for _, n := range j.noted {
		switch {
		case n.kind == "crash" && u.at < n.to+time.Second && (u.at > j.heldBefore(n) || j.isLast(l, u, n)),
			n.kind == "storage fails" && u.at < n.to+45*time.Second && (u.at > j.heldBefore(n)-j.sc.Segment || j.isLast(l, u, n)):
			return true
		}
		if l.kind == media.Audio && (n.kind == "crash" || n.kind == "storage fails") && u.at < n.to && j.soundWaits(n) {
			return true
		}
	}
	return j.beforeFirst(l, u) || l.kind == media.Audio && j.early(u) || l.kind == media.Video && j.waits(l, u)
}

// heldBefore returns from when on what came may have been in the memory of a node that
// died, or whose storage failed: a chunk, and what waits for packets; where storage was
// slow all that came since, and what had not been written when that began.
func (j *judge) heldBefore(end noted) time.Duration {
	from := end.from
	for _, n := range j.noted {
		if n.kind == "storage is slow" && n.from < end.from && n.to > end.from-grace {
			from = min(from, n.from)
		}
	}
	return from - j.sc.Chunk - grace
}

// soundWaits reports whether the first sound of a sender may wait for the reports that tell
// its place, when the node dies or storage fails: then it is lost with it.
func (j *judge) soundWaits(n noted) bool {
	return slices.ContainsFunc(j.senders, func(s *senderTruth) bool {
		first := s.firstSound()
		return first <= n.from && first+soundWaits > j.heldBefore(n)
	})
}

// soundWaits is how long it waits.
const soundWaits = 5500 * time.Millisecond

// firstSound returns when the first sound of a sender arrived.
func (s *senderTruth) firstSound() time.Duration {
	for _, tr := range s.tracks {
		for _, u := range tr.units {
			if tr.kind == media.Audio && u.whole() != no {
				return u.at
			}
		}
	}
	return math.MaxInt64 / 2
}

// isLast reports whether a unit was among the last that came before a crash or a failure
// of storage: a chunk is written when it is full, and a frame when the next one comes,
// however long that takes. A crash may have torn the chunk before.
func (j *judge) isLast(l lane, u *unit, n noted) bool {
	last := time.Duration(0)
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			for _, u := range tr.units {
				if tr.kind == l.kind && tr.layer == l.layer && u.at < n.from && u.decodable != no {
					last = max(last, u.captured)
				}
			}
		}
	}
	kept := j.sc.Chunk + 3*edge // frames are whole when the next one comes, and have their length then
	if n.kind == "crash" && j.torn {
		kept += j.sc.Chunk
	}
	return u.captured > last-kept
}

// waits says whether a unit is of a layer that the ledger says waits for a Period: others
// have the picture of that time.
func (j *judge) waits(l lane, u *unit) bool {
	for _, r := range j.recordings {
		if r.info.Tracks == nil || !j.layered(r) {
			continue
		}
		for _, g := range r.gaps(l) {
			if at := u.captured - r.at; at > dur(g.Start)-short/2 && at < dur(g.Start+g.Duration)+short/2 {
				return true
			}
		}
	}
	return false
}

// layered reports whether a recording has several layers of video.
func (j *judge) layered(r *recorded) bool {
	return slices.ContainsFunc(r.info.Tracks, func(t media.RecordingTrack) bool { return t.Layer > 0 })
}

// early says whether a unit is of the first of its sender, behind a network of which it
// is not known yet how late it is: it may belong before what began with the video.
func (j *judge) early(u *unit) bool {
	for _, s := range j.senders {
		unsure := s.life.Net.Jitter
		if s.life.Clock.Reports != "exact" {
			unsure += 50 * time.Millisecond
		}
		if d := u.captured - s.began; unsure > 0 && d >= 0 && d < unsure+50*time.Millisecond {
			return true
		}
	}
	return false
}

// recording reports whether there is a recording of a time.
func (j *judge) recording(at time.Duration) bool {
	return slices.ContainsFunc(j.recordings, func(r *recorded) bool { return at >= r.at && at < r.until })
}

// beforeFirst says whether a unit came before what begins a recording, with which
// nothing was running.
func (j *judge) beforeFirst(_ lane, u *unit) bool {
	for i, r := range j.recordings {
		from := time.Duration(math.MinInt64)
		if i > 0 {
			from = j.recordings[i-1].until
		}
		if u.captured >= from && u.captured < r.at+25*time.Millisecond {
			// A rotation leaves nothing out, but a recording that begins does.
			if i == 0 || r.at-from > time.Second {
				return true
			}
		}
	}
	return len(j.recordings) == 0
}

// checkGaps holds the gaps of the ledger against what is there.
func (j *judge) checkGaps(l lane, all []placed) {
	for _, r := range j.recordings {
		var booked time.Duration
		for _, g := range r.gaps(l) {
			from, to := dur(g.Start), dur(g.Start+g.Duration)
			booked += to - from
			n := 0
			for _, p := range all {
				if p.rec == r && p.unit != nil && p.start > from+edge && p.start < to-edge {
					n++
				}
			}
			if n > 0 {
				j.fault("false gap", "%s of %s: %d samples that were sent are in the gap of %s from %v to %v", l.id(), r.Dir, n, g.Cause, from, to)
			}
		}
		j.checkBooked(l, r, all, booked)
	}
}

// checkBooked finds time without media that no gap tells of.
func (j *judge) checkBooked(l lane, r *recorded, all []placed, booked time.Duration) {
	tr := r.ledger(l)
	if tr == nil || len(tr.Gaps) >= 1000 || r.Duration == 0 || !tr.Recorded && !j.sentWithin(l, r) {
		return
	}
	if sums := dur(tr.FilledSeconds + tr.GapSeconds); sums-booked > 100*time.Millisecond {
		j.fault("unlisted", "%s of %s (%s): sums tell of %v, gaps of %v", l.id(), r.Dir, r.info.Status, sums, booked)
		return
	}
	at := time.Duration(0)
	for _, p := range append(slices.Clone(all), placed{rec: r, start: r.Duration, unit: &unit{}}) {
		if p.rec != r || p.unit == nil {
			continue
		}
		open := p.start - at - bookedIn(tr.Gaps, at, p.start)
		known := r.info.Recovered == 0 // with the node dies what was not a pause yet
		if open > short || open > 200*time.Millisecond && known && j.lostBetween(l, r.at+at, r.at+p.start) {
			j.fault("no gap", "%s of %s is not what was sent from %v to %v, of which gaps tell of all but %v", l.id(), r.Dir, at, p.start, open)
		}
		at = max(at, p.end)
	}
}

// bookedIn returns how much of a time gaps tell of.
func bookedIn(gaps []media.Gap, from, to time.Duration) (sum time.Duration) {
	for _, g := range gaps {
		sum += max(0, min(dur(g.Start+g.Duration), to)-max(dur(g.Start), from))
	}
	return sum
}

// lostBetween reports whether something of a lane was sent in a time and is not
// recorded.
func (j *judge) lostBetween(l lane, from, to time.Duration) bool {
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if tr.kind == l.kind && tr.layer == l.layer && slices.ContainsFunc(tr.units, func(u *unit) bool {
				return !u.recorded && u.captured > from+edge && u.captured < to-edge
			}) {
				return true
			}
		}
	}
	return false
}

// sentWithin reports whether anything of a lane arrived while a recording ran.
func (j *judge) sentWithin(l lane, r *recorded) bool {
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if tr.kind == l.kind && tr.layer == l.layer && slices.ContainsFunc(tr.units, func(u *unit) bool {
				return u.captured > r.at && u.captured < r.until && u.whole() == yes
			}) {
				return true
			}
		}
	}
	return false
}

// checkSync holds the audio against the video, where both are what was sent.
func (j *judge) checkSync(audio []placed) {
	video := map[*recorded][]placed{}
	for _, p := range j.placed[lane{media.Video, 0}] {
		if p.unit != nil {
			video[p.rec] = append(video[p.rec], p)
		}
	}
	worst, at := time.Duration(0), ""
	for _, a := range audio {
		if a.unit == nil {
			continue
		}
		v := video[a.rec]
		k, _ := slices.BinarySearchFunc(v, a.start, func(p placed, t time.Duration) int { return int(p.start - t) })
		if k == 0 || k >= len(v) || v[k-1].truth.sender != a.truth.sender || a.start-v[k-1].start > time.Second {
			continue
		}
		limit := j.syncLimit(a, v[k-1])
		off := (a.rec.at + a.start - a.unit.captured) - (a.rec.at + v[k-1].start - v[k-1].unit.captured)
		if off.Abs() > limit && off.Abs() > worst.Abs() {
			worst, at = off, fmt.Sprintf("%s at %v", a.rec.Dir, a.start)
		}
	}
	if worst != 0 {
		j.fault("sync", "audio is %v later than the video: %s", worst, at)
	}
}

// syncLimit is how far audio may be from the video: as far as the sender's clock is
// known.
func (j *judge) syncLimit(a, v placed) time.Duration {
	s := j.senders[a.truth.sender]
	switch {
	case a.truth.isConfused(a.unit, unsure+j.sc.Segment), v.truth.isConfused(v.unit, unsure+j.sc.Segment):
		return maxSync + 2*reordered // until a report tells, which the recorder follows with its next segment
	case a.unit.captured-s.began < 20*time.Second || v.unit.captured-s.began < 20*time.Second:
		return 800 * time.Millisecond
	case s.life.Clock.Reports != "exact" && s.turned(a.unit.captured):
		return maxSync + s.life.Net.Jitter + s.life.Clock.Delay // it is as at the beginning
	case s.life.Clock.Reports == "" || s.life.Clock.Reports == "whole":
		return maxSync + s.life.Net.Jitter
	}
	return maxSync + s.life.Net.Jitter/8
}

// turned reports whether a sender has begun other timestamps within 20 s before a time.
func (s *senderTruth) turned(at time.Duration) bool {
	return slices.ContainsFunc(s.life.Turns, func(t Turn) bool {
		d := at - s.life.At - t.At
		return (t.SSRC || t.Stamp != 0) && d > 0 && d < 20*time.Second
	})
}

// sums holds the sums of the ledger against the duration.
func (j *judge) sums() {
	for _, r := range j.recordings {
		for _, tr := range r.info.Tracks {
			sum := tr.MediaSeconds + tr.FilledSeconds + tr.GapSeconds
			if off := sum - r.info.Duration; tr.Recorded && math.Abs(off) > 0.002*float64(max(r.info.Periods, 1)) {
				j.fault("sum", "%s of %s: %.3f s media, %.3f s filled, %.3f s gap make %+.3f s more than %.3f s",
					lane{kindOf(tr.Kind), tr.Layer}.id(), r.Dir, tr.MediaSeconds, tr.FilledSeconds, tr.GapSeconds, off, r.info.Duration)
			}
		}
	}
}

func kindOf(s string) media.Kind {
	if s == media.Audio.String() {
		return media.Audio
	}
	return media.Video
}

// layerShare is the part of a layer's frames, one in this many, that may be missing
// without a word in the verdict (docs/api.md).
const layerShare = 4

// verdicts holds the status of each recording against what is missing in it.
func (j *judge) verdicts() {
	for _, r := range j.recordings {
		lost, from := 0, time.Duration(0)
		for _, l := range j.lanes() {
			n, recorded, first := j.lostIn(l, r)
			if l.kind == media.Video && j.layered(r) && n*layerShare <= recorded {
				continue // others have the picture
			}
			if n > 0 && lost == 0 {
				from = first
			}
			lost += n
		}
		var corrected int64
		for _, tr := range r.info.Tracks {
			corrected += tr.PacketsCorrected
		}
		if int64(lost) > corrected && r.info.Status == media.StatusComplete {
			j.fault("verdict", "%s is complete, and %d units are missing, from %v on", r.Dir, lost, from)
		}
		if r.info.Status != media.StatusComplete && j.untroubled() {
			j.fault("alarm", "%s is %s (%s), and nothing is missing", r.Dir, r.info.Status, r.info.Reason)
		}
	}
}

// lostIn returns how many units of a lane are missing in a recording and how many are in it,
// of all senders, as its ledger counts them; and when the first that is missing was captured.
func (j *judge) lostIn(l lane, r *recorded) (lost, recorded int, first time.Duration) {
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if tr.kind != l.kind || tr.layer != l.layer {
				continue
			}
			n, at := tr.lostIn(r.at+100*time.Millisecond, r.until-2*time.Second, j.sealed[r.Dir])
			if n > 0 && lost == 0 {
				first = at
			}
			lost, recorded = lost+n, recorded+tr.recordedIn(r.at, r.until)
		}
	}
	return lost, recorded, first
}

// untroubled reports whether there was nothing that could harm a recording. Packets that
// others have overtaken may come after the end.
func (j *judge) untroubled() bool {
	if len(j.noted) > 0 || len(j.senders) > 1 || j.sc.Manual > 0 {
		return false
	}
	for _, s := range j.senders {
		for _, tr := range s.tracks {
			if slices.ContainsFunc(tr.units, func(u *unit) bool { return u.whole() == no }) {
				return false
			}
		}
	}
	for _, l := range j.sc.Lives {
		if l.Vanish || len(l.Off) > 0 || len(l.Turns) > 0 || l.Net.Loss > 0 || len(l.Net.Outages) > 0 || l.Net.Jitter > 100*time.Millisecond {
			return false
		}
	}
	return true
}
