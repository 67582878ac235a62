package maintain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/media/webm"
	"github.com/live777/recorder/internal/storage"
)

// maxFilled is how many segments of a recording may be lost for others to stand for
// them. Where more are, a disk or a bucket is not what it was.
const maxFilled = 100

// fill stores what stands for the segments that a sealed recording has lost, and books their
// time as filled. It returns what recording.json says then. It may end at any point and be
// called again: the ledger comes first, and a sample index is missing rather than wrong.
func (r *rebuild) fill(ctx context.Context, rec media.Recording, f folder) (media.Recording, error) {
	if rec.Status == media.StatusRecording || !f.has(media.ManifestName) {
		return rec, nil
	}
	lost, err := findLost(ctx, r.Backend, f)
	if err != nil || len(lost) == 0 {
		return rec, err
	}
	switch {
	case len(lost) > maxFilled:
		r.problem(f.dir, fmt.Sprintf("lacks %d segments, which is too much to fill: is all of the storage there?", len(lost)))
		return rec, nil
	case r.Partial && !Stored(rec):
		r.problem(f.dir, fmt.Sprintf("lacks %d segments, which may still be waiting for their upload, so that they are not filled", len(lost)))
		return rec, nil
	}
	x := &filling{rebuild: r, folder: &f, rec: rec, sizes: map[string]int64{}}
	return x.fill(ctx, lost)
}

// findLost returns the segments that the manifest in a folder names and that are not there.
func findLost(ctx context.Context, backend storage.Backend, f folder) ([]movie.Lost, error) {
	text, err := storage.ReadAll(ctx, backend, path.Join(f.dir, media.ManifestName), media.MaxManifest)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(f.objects))
	for _, o := range f.objects {
		there[path.Base(o.Key)] = true
	}
	lost, err := movie.FindLost(movie.Source{Dir: f.dir, Manifest: text}, func(name string) bool { return there[name] })
	if err != nil {
		err = fault.Errorf(fault.Invalid, "%w", err)
	}
	return lost, err
}

// booked returns what the catalogue is to have of a sealed recording of which segments were
// lost: those that are lost still are in its ledger.
func booked(ctx context.Context, backend storage.Backend, rec media.Recording, f folder) (media.Recording, error) {
	lost, err := findLost(ctx, backend, f)
	if err != nil && damaged(err) {
		return rec, nil // what is wrong is said elsewhere
	}
	rec, _ = movie.Book(rec, lost)
	return rec, err
}

// filling is the filling of one recording.
type filling struct {
	*rebuild
	folder *folder
	rec    media.Recording
	lost   []movie.Lost
	sizes  map[string]int64 // of what stands for them, by name
}

func (x *filling) fill(ctx context.Context, lost []movie.Lost) (media.Recording, error) {
	how := movie.Opening{Backend: x.Backend}
	for _, l := range lost {
		data, err := l.StandIn(ctx, how)
		if fault.KindOf(err) == fault.NotFound {
			x.problem(path.Join(x.folder.dir, l.Name), "is lost, and nothing can stand for it")
			continue
		}
		if err != nil {
			return x.rec, err
		}
		x.lost = append(x.lost, l)
		x.sizes[l.Name] = int64(len(data))
	}
	if len(x.lost) == 0 {
		return x.rec, nil
	}
	if err := x.book(ctx); err != nil {
		return x.rec, err
	}
	indexed, err := x.forget(ctx)
	if err != nil {
		return x.rec, err
	}
	for _, l := range x.lost { // in order, for each one's chunk is numbered after the one before
		data, err := l.StandIn(ctx, how)
		if err != nil {
			return x.rec, err
		}
		if err := x.put(ctx, l.Name, data); err != nil {
			return x.rec, err
		}
		x.folder.objects = append(x.folder.objects, storage.Object{Key: path.Join(x.folder.dir, l.Name), Size: int64(len(data))})
	}
	if err := x.playlists(ctx); err != nil {
		return x.rec, err
	}
	if indexed {
		err = x.indexes(ctx, x.rec, *x.folder)
	}
	x.Logger.Info("others stand for segments that the storage has lost", "stream", x.rec.Stream, "record_id", x.rec.RecordID, "record_dir", x.folder.dir, "segments", len(x.lost))
	x.mu.Lock()
	x.sum.Filled += len(x.lost)
	x.mu.Unlock()
	return x.rec, err
}

func (x *filling) put(ctx context.Context, name string, data []byte) error {
	if err := x.Backend.Put(ctx, path.Join(x.folder.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
		return fmt.Errorf("store what stands for what is lost: %w", err)
	}
	return nil
}

// book changes the ledger and stores it.
func (x *filling) book(ctx context.Context) error {
	x.rec, _ = movie.Book(x.rec, x.lost)
	for i := range x.rec.Tracks {
		l := &x.rec.Tracks[i]
		id := l.Kind
		if l.Layer > 0 {
			id = fmt.Sprintf("%s-%d", l.Kind, l.Layer+1)
		}
		at := slices.IndexFunc(x.lost, func(one movie.Lost) bool { return one.Track == id })
		if at < 0 {
			continue
		}
		prefix, _, _ := strings.Cut(x.lost[at].Name, "_seg_")
		frames, size, err := x.count(ctx, prefix+"_seg_")
		if err != nil {
			return err
		}
		l.Frames = min(l.Frames, frames)
		x.rec.Bytes += size - l.Bytes
		l.Bytes = size
	}
	info, err := media.EncodeRecording(x.rec)
	if err != nil {
		return err
	}
	return x.put(ctx, media.InfoName, info)
}

// count returns how many frames the segments of a track have that are there, and how many
// bytes these are with what stands for the others.
func (x *filling) count(ctx context.Context, prefix string) (frames, size int64, err error) {
	for name, n := range x.sizes {
		if strings.HasPrefix(name, prefix) {
			size += n
		}
	}
	for _, o := range x.folder.objects {
		name := path.Base(o.Key)
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		size += o.Size
		data, err := storage.ReadAll(ctx, x.Backend, o.Key, maxSegment)
		if err != nil {
			return 0, 0, err
		}
		if path.Ext(name) == path.Ext(media.WebMName) {
			list, err := webm.Frames(bytes.NewReader(data), false)
			if err != nil {
				return 0, 0, fmt.Errorf("read %s: %w", o.Key, err)
			}
			frames += int64(len(list))
			continue
		}
		tables, err := fmp4.Tables(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", o.Key, err)
		}
		for _, t := range tables {
			frames += int64(len(t.Samples))
		}
	}
	return frames, size, nil
}

// forget deletes the sample indexes that say what the lost segments had, and their summaries.
func (x *filling) forget(ctx context.Context) (had bool, err error) {
	for _, l := range x.lost {
		n := media.IndexedNumber(l.Name)
		if n == 0 {
			continue
		}
		for _, name := range []string{media.SampleIndexName(l.Name, n), media.SampleSummaryName(l.Name)} {
			if !x.folder.has(name) {
				continue
			}
			if err := x.Backend.Delete(ctx, path.Join(x.folder.dir, name)); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return had, fmt.Errorf("delete a sample index: %w", err)
			}
			x.folder.objects = slices.DeleteFunc(slices.Clone(x.folder.objects), func(o storage.Object) bool { return path.Base(o.Key) == name })
			had = true
		}
	}
	return had, nil
}

// gapTag is what playlists say of segments that were lost before the recording was sealed.
var gapTag = regexp.MustCompile(`#EXT-X-GAP\n(#EXTINF:[^\n]*\n([^\n#]+)\n)`)

// playlists takes out of playlists that the segments are lost.
func (x *filling) playlists(ctx context.Context) error {
	for _, o := range x.folder.objects {
		if path.Ext(o.Key) != path.Ext(media.IndexName) {
			continue
		}
		text, err := storage.ReadAll(ctx, x.Backend, o.Key, media.MaxManifest)
		if err != nil {
			return err
		}
		changed := gapTag.ReplaceAllFunc(text, func(tag []byte) []byte {
			m := gapTag.FindSubmatch(tag)
			if _, ok := x.sizes[string(m[2])]; ok {
				return m[1]
			}
			return tag
		})
		if bytes.Equal(changed, text) {
			continue
		}
		if err := x.put(ctx, path.Base(o.Key), changed); err != nil {
			return err
		}
	}
	return nil
}
