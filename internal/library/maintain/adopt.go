package maintain

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/storage"
)

const (
	// originalTarget is how long the segments of an original live777 are, where key frames
	// allow it.
	originalTarget = 10 * time.Second
	// originalIdle is for how long the manifest of a recording has not changed that no
	// original node writes any more.
	originalIdle = time.Minute
	// maxInit is the longest init segment that is read, in bytes.
	maxInit = 1 << 20
	// maxOriginalGaps is how many gaps are listed of a track.
	maxOriginalGaps = 1000
)

// stillLength is how long a sample may last before the time behind that counts as filled:
// an original lets one last until the next one came.
var stillLength = map[media.Kind]time.Duration{media.Video: time.Second, media.Audio: 120 * time.Millisecond}

// adopt takes up the recording that an original live777 has made in a folder without a
// recording.json, if there is one: it makes our manifests and a recording.json of the
// original's manifest, which it keeps by another name, and of what the segments say. The
// media stays as it is. adopted is false where the folder has no such recording, or an
// original writes it still.
func (r *rebuild) adopt(ctx context.Context, f *folder) (adopted bool, err error) {
	text, original, ok, err := r.original(ctx, f)
	if err != nil || !ok {
		return false, err
	}
	if age := r.Now().Sub(original.Published); original.Dynamic && age < max(originalIdle, 3*original.Longest()) {
		r.mu.Lock()
		r.sum.Originals = append(r.sum.Originals, f.dir)
		r.mu.Unlock()
		return false, nil
	}
	entry, err := r.originals.of(f.dir)
	if err != nil {
		return false, err
	}
	a := &adoption{rebuild: r, folder: f, mended: map[string][]byte{}, stood: map[string][]byte{}, intact: math.MaxInt64, pres: &manifest.Presentation{
		ID: f.dir, SegmentDuration: originalTarget, Periods: []manifest.Period{{ID: "p1"}},
	}}
	for _, t := range original.Tracks {
		if err := a.take(ctx, t); err != nil {
			return false, err
		}
	}
	rec, err := a.finish(original, entry)
	if err != nil {
		return false, err
	}
	if r.Elsewhere != nil && r.Elsewhere(rec) {
		return false, nil
	}
	if err := a.store(ctx, text, rec); err != nil {
		return false, err
	}
	r.Logger.Info("a recording of an original live777 was taken up", "stream", rec.Stream, "record_id", rec.RecordID, "record_dir", f.dir, "duration", rec.Duration)
	r.mu.Lock()
	r.sum.Adopted++
	r.mu.Unlock()
	return true, nil
}

// original reads the manifest of an original in a folder. It is by our name for it where a
// rebuild has ended before it had taken up the recording.
func (r *rebuild) original(ctx context.Context, f *folder) (text []byte, o manifest.Original, ok bool, err error) {
	for _, name := range []string{media.OriginalManifestName, media.ManifestName} {
		if !f.has(name) {
			continue
		}
		if text, err = storage.ReadAll(ctx, r.Backend, path.Join(f.dir, name), media.MaxManifest); err != nil {
			return nil, o, false, err
		}
		o, ok, err = manifest.ParseOriginal(text)
		if ok || err != nil {
			return text, o, ok, err
		}
	}
	return nil, o, false, nil
}

// adoption is the taking up of one recording.
type adoption struct {
	*rebuild
	folder *folder
	pres   *manifest.Presentation
	tracks []media.RecordingTrack
	ends   []time.Duration   // of the tracks
	bytes  int64             // of the init segments
	mended map[string][]byte // init segments that are stored beside those of the original, by name
	lost   int               // segments that the manifest names and the storage has not
	stood  map[string][]byte // what stands in for them, by name
	intact time.Duration     // media time before which nothing is lost that nothing stands in for
}

// take adds a track to the ledger, and to the presentation if it has segments.
func (a *adoption) take(ctx context.Context, t manifest.OriginalTrack) error {
	l := media.RecordingTrack{Kind: t.Kind.String(), RFC6381: t.RFC6381}
	format, size, err := a.format(ctx, &t)
	if err != nil && !damaged(err) {
		return err
	}
	rep := manifest.Representation{
		ID: l.Kind, Format: format, Init: t.Init, Media: t.Media, StartNumber: 1, Timeline: manifest.NewTimeline(0),
	}
	if err != nil {
		l.Missing = fault.Text(err)
	} else {
		l.Codec, l.RFC6381, l.Width, l.Height = format.Codec, format.RFC6381, format.Width, format.Height
		if err := a.segments(ctx, t, &rep, &l); err != nil {
			return err
		}
	}
	if rep.Timeline.Len() > 0 {
		l.Recorded = true
		a.bytes += size
		a.pres.Periods[0].Sets = append(a.pres.Periods[0].Sets, manifest.AdaptationSet{
			ID: int(t.Kind), Kind: t.Kind, Representations: []manifest.Representation{rep},
		})
	}
	a.tracks = append(a.tracks, l)
	a.ends = append(a.ends, rep.Timeline.End().Duration(t.Timescale))
	return nil
}

// format returns the format of a track by its init segment, and how long that is. If that has
// to be mended, the track gets another one.
func (a *adoption) format(ctx context.Context, t *manifest.OriginalTrack) (*media.Format, int64, error) {
	data, err := storage.ReadAll(ctx, a.Backend, path.Join(a.folder.dir, t.Init), maxInit)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", t.Init, err)
	}
	mended := fmp4.Mend(data)
	kind, format, err := fmp4.Describe(mended)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", t.Init, err)
	}
	if kind != t.Kind || format.Timescale != t.Timescale {
		return nil, 0, fault.Errorf(fault.Invalid, "%s is %s of %d Hz, the manifest says %s of %d", t.Init, kind, format.Timescale, t.Kind, t.Timescale)
	}
	format.RFC6381 = cmp.Or(format.RFC6381, t.RFC6381)
	if !bytes.Equal(mended, data) {
		data, t.Init = mended, kind.String()[:1]+"_init_2.m4s"
		a.mended[t.Init] = mended
	}
	return format, int64(len(data)), nil
}

// segments adds the segments that the manifest names, and those behind them that the node
// had stored before it died. A track of which none is there has nothing.
func (a *adoption) segments(ctx context.Context, t manifest.OriginalTrack, rep *manifest.Representation, l *media.RecordingTrack) error {
	there := func(s media.Segment) bool { _, ok := a.stored(ctx, s.Name); return ok }
	if len(t.Segments) > 0 && !slices.ContainsFunc(t.Segments, there) {
		a.lost += len(t.Segments)
		return nil
	}
	fill := &standIns{adoption: a, track: t, format: rep.Format}
	for _, s := range t.Segments {
		if err := a.segment(ctx, s, rep, l, fill); err != nil {
			return err
		}
	}
	for {
		n := rep.Timeline.Len() + 1
		s := media.Segment{Number: n, Name: media.SegmentName(t.Media, n), Time: rep.Timeline.End()}
		if !there(s) {
			return nil
		}
		before := rep.Timeline.Len()
		if err := a.segment(ctx, s, rep, l, fill); err != nil || rep.Timeline.Len() == before {
			return err
		}
	}
}

// segment adds a segment, or what stands in for it. One without a duration is not in the
// manifest, and is left out if it is torn, or is of another time: it is then of something
// before this.
func (a *adoption) segment(ctx context.Context, s media.Segment, rep *manifest.Representation, l *media.RecordingTrack, fill *standIns) error {
	o, ok := a.stored(ctx, s.Name)
	if !ok {
		return a.missing(ctx, s, rep, l, fill)
	}
	body := storage.NewReader(ctx, a.Backend, o)
	tables, err := fmp4.Tables(body, o.Size)
	if err := errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read %s: %w", o.Key, err)
	}
	s.Bytes, fill.last = o.Size, o
	var duration media.Ticks
	for _, t := range tables {
		for _, e := range t.Samples {
			duration += media.Ticks(e.Duration)
		}
		s.Frames += int64(len(t.Samples))
	}
	if s.Duration == 0 {
		if len(tables) == 0 || tables[0].Time != s.Time {
			return nil
		}
		s.Duration = duration
	}
	l.Frames += s.Frames
	for _, t := range tables {
		bookStills(l, t, rep.Format.Timescale)
	}
	return a.add(s, rep, l)
}

// missing adds what stands in for a segment that the manifest names and the storage has not.
func (a *adoption) missing(ctx context.Context, s media.Segment, rep *manifest.Representation, l *media.RecordingTrack, fill *standIns) error {
	at, d := s.Time.Duration(rep.Format.Timescale), s.Duration.Duration(rep.Format.Timescale)
	data, err := fill.segment(ctx, s)
	if err != nil {
		return err
	}
	a.lost++
	if s.Bytes = int64(len(data)); data == nil {
		if err := a.add(s, rep, l); err != nil {
			return err
		}
		rep.Timeline.Lose(rep.Timeline.Len() - 1)
		a.intact = min(a.intact, at)
		return nil
	}
	a.stood[s.Name] = data
	l.FilledSeconds += d.Seconds()
	if n := len(l.Gaps); n > 0 && l.Gaps[n-1].Cause == causeNode && at-seconds(l.Gaps[n-1].Start+l.Gaps[n-1].Duration) < time.Microsecond {
		l.Gaps[n-1].Duration += d.Seconds()
	} else if n < maxOriginalGaps {
		l.Gaps = append(l.Gaps, media.Gap{Start: at.Seconds(), Duration: d.Seconds(), Cause: causeNode, Filled: true})
	}
	return a.add(s, rep, l)
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// add adds a segment to the presentation and the ledger.
func (a *adoption) add(s media.Segment, rep *manifest.Representation, l *media.RecordingTrack) error {
	if _, err := a.pres.Add(rep, s); err != nil {
		return fault.Errorf(fault.Invalid, "%s: %w", s.Name, err)
	}
	l.Segments++
	l.Bytes += s.Bytes
	return nil
}

// bookStills books the time behind samples that last longer than one does.
func bookStills(l *media.RecordingTrack, t fmp4.Table, timescale uint32) {
	most := stillLength[media.Video]
	if l.Kind == media.Audio.String() {
		most = stillLength[media.Audio]
	}
	at := t.Time
	for _, e := range t.Samples {
		if d := media.Ticks(e.Duration).Duration(timescale); d > most {
			l.FilledSeconds += d.Seconds()
			if len(l.Gaps) < maxOriginalGaps {
				l.Gaps = append(l.Gaps, media.Gap{Start: at.Duration(timescale).Seconds(), Duration: d.Seconds(), Cause: "pause", Filled: true})
			}
		}
		at += media.Ticks(e.Duration)
	}
}

// finish completes the presentation and returns the recording.
func (a *adoption) finish(o manifest.Original, entry originalEntry) (media.Recording, error) {
	if !a.plays() && a.folder.hasSegments() {
		return media.Recording{}, fault.New(fault.Invalid, "an original live777 has recorded nothing here that can be played")
	}
	dir := a.folder.dir
	longest := slices.Max(a.ends)
	duration := longest.Round(time.Millisecond)
	start := entry.start(dir, o.Start).UTC().Round(time.Millisecond)
	if start.IsZero() {
		return media.Recording{}, fault.New(fault.Invalid, "nothing says when an original live777 recorded this: "+howToTell)
	}
	end := start.Add(duration)
	if last := entry.end(); last.After(end) {
		end = last.UTC().Round(time.Millisecond)
	}
	rec := media.Recording{
		Stream: entry.stream(dir), RecordID: media.RecordID(dir), RecordDir: dir, MPDPath: path.Join(dir, media.ManifestName),
		Node: cmp.Or(entry.Node, a.Node), Start: start, End: &end, Duration: duration.Seconds(), Bytes: a.bytes,
		Status: media.StatusDegraded, Reason: a.reason(o, entry), Tracks: a.tracks, DurableThrough: min(duration, a.intact).Seconds(), Periods: 1,
	}
	if !a.plays() {
		rec.Status, rec.Reason, rec.Periods = media.StatusFailed, "an original live777 was ended before it had stored any of this", 0
	}
	if err := media.CheckStreamID(rec.Stream); err != nil {
		return rec, fault.New(fault.Invalid, "nothing says of which stream an original live777 recorded this: "+howToTell)
	}
	for i := range rec.Tracks {
		l := &rec.Tracks[i]
		rec.Bytes += l.Bytes
		if d := (duration - a.ends[i]).Seconds(); d > 0 {
			l.GapSeconds = d
			if len(l.Gaps) < maxOriginalGaps {
				l.Gaps = append(l.Gaps, media.Gap{Start: a.ends[i].Seconds(), Duration: d, Cause: "absent"})
			}
		}
		l.MediaSeconds = rec.Duration - l.FilledSeconds - l.GapSeconds
	}
	a.pres.AvailabilityStart, a.pres.Published, a.pres.Duration = start, end, duration
	a.pres.MaxSegmentDuration = (a.pres.LongestSegment + time.Millisecond - 1).Truncate(time.Millisecond)
	return rec, nil
}

// plays reports whether there is anything to play.
func (a *adoption) plays() bool { return len(a.pres.Periods[0].Sets) > 0 }

// howToTell says where it can be said what a folder does not tell.
const howToTell = "give rebuild the index.json of the node that recorded it, or a list from the database of its liveman (-originals FILE)"

// reason says why the recording is not complete.
func (a *adoption) reason(o manifest.Original, entry originalEntry) string {
	reasons := []string{"recorded by an original live777, which does not say what was lost, nor how sound and picture lie in time"}
	if o.Dynamic {
		reasons = append(reasons, "it was not ended: what came last is missing")
	}
	if a.lost > 0 {
		reasons = append(reasons, fmt.Sprintf("of its segments %d that its manifest names are not there", a.lost))
	}
	if entry.Status == originalFailed {
		reasons = append(reasons, "it says itself that the recording failed, as where video came of a codec that it does not record")
	}
	for _, l := range a.tracks {
		if !l.Recorded {
			reasons = append(reasons, fmt.Sprintf("nothing of its %s can be played", l.Kind))
		}
	}
	return strings.Join(reasons, "; ")
}

// store stores what was made: the original's manifest by our name for it first, and last
// the recording.json, by which the folder becomes a recording.
func (a *adoption) store(ctx context.Context, original []byte, rec media.Recording) error {
	info, err := media.EncodeRecording(rec)
	if err != nil {
		return err
	}
	type file struct {
		name string
		text []byte
	}
	files := []file{{media.OriginalManifestName, original}}
	for name, data := range a.mended {
		files = append(files, file{name, data})
	}
	for name, data := range a.stood {
		files = append(files, file{name, data})
	}
	if a.plays() {
		for _, name := range a.pres.Playlists() {
			text, _ := a.pres.AppendPlaylist(nil, name)
			files = append(files, file{name, text})
		}
		files = append(files, file{media.ManifestName, a.pres.AppendMPD(nil)})
	}
	files = append(files, file{media.InfoName, info})
	for _, f := range files {
		key := path.Join(a.folder.dir, f.name)
		if err := a.Backend.Put(ctx, key, bytes.NewReader(f.text), int64(len(f.text))); err != nil {
			return fmt.Errorf("take up a recording of an original live777: %w", err)
		}
	}
	if a.plays() || !a.folder.has(media.ManifestName) {
		return nil
	}
	return a.Backend.Delete(ctx, path.Join(a.folder.dir, media.ManifestName)) // it is kept by the other name
}
