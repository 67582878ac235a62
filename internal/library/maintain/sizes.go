package maintain

import (
	"fmt"
	"path"
	"strings"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// bySize compares a recording that is not read with what storage lists: the number of
// segments and bytes in recording.json, except what waits for its upload.
func (v *checker) bySize(rec media.Recording, f folder, own []storage.Object, finding *Finding, problem func(where, format string, args ...any)) {
	segments, bytes := 0, int64(0)
	add := func(name string, size int64) {
		if storage.ClassOf(name) != storage.Media || media.IsSampleIndex(name) {
			return
		}
		bytes += size
		if strings.Contains(name, "_seg_") {
			segments++
		}
	}
	for _, o := range own {
		add(path.Base(o.Key), o.Size)
	}
	finding.Bytes = bytes
	n := 0
	for _, key := range v.waits[f.dir] {
		if !f.has(path.Base(key)) {
			n++
			add(path.Base(key), v.Waiting[key])
		}
	}
	if n > 0 {
		finding.Note = waitsText(n)
	}
	if rec.Status == media.StatusRecording {
		return
	}
	want := 0
	for _, t := range rec.Tracks {
		want += t.Segments
	}
	if segments < want || bytes < rec.Bytes {
		problem(media.InfoName, "says %d segments and %d bytes, storage has %d segments and %d bytes", want, rec.Bytes, segments, bytes)
	}
	if !f.has(media.ManifestName) && n == 0 {
		noManifest(rec, own, problem)
	}
}

func waitsText(n int) string { return fmt.Sprintf("%d objects wait in the spool", n) }

// unstored says what it means that a recording of the catalogue is not in storage that
// may lack what is still to be uploaded.
func (v *checker) unstored(rec media.Recording, f *Finding) {
	n := len(v.waits[rec.RecordDir])
	what := ""
	switch {
	case n > 0:
		f.Note = waitsText(n)
	case Stored(rec):
		what = "had been stored, and is not in storage any more: does a rule of the bucket delete objects?"
	case v.Waiting != nil && rec.Node == v.Node && rec.Status != media.StatusRecording:
		what = "is in the catalogue, and neither in storage nor in the spool"
	default:
		f.Note = "is not in storage yet"
	}
	if what != "" {
		f.Problems = []verify.Problem{{Where: rec.RecordDir, What: what}}
	}
}
