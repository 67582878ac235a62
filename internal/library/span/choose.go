package span

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

// endless is longer than any recording, and can be added to any time.
const endless = 100 * 365 * 24 * time.Hour

// piece is a part of a recording that is chosen for a span: [from, to).
type piece struct {
	rec      media.Recording
	from, to time.Time
}

// runs reports whether the recording goes on.
func (p *piece) runs() bool { return p.rec.Status == media.StatusRecording }

// clip returns the piece of a presentation of its recording.
func (p *piece) clip(presentation *manifest.Presentation) Clip {
	c := Clip{Recording: p.rec, Clip: manifest.Clip{Presentation: presentation, Folder: folder(p.rec.RecordDir)}}
	c.From = max(p.from.Sub(presentation.AvailabilityStart), 0)
	c.To = p.to.Sub(presentation.AvailabilityStart) // at most endless
	return c
}

// seam is a time between recordings that is not missed.
const seam = 100 * time.Millisecond

// without returns the record_dirs of those of the wanted pieces that are away, and have a
// time that none of the chosen ones has.
func without(wanted, chosen []piece, away map[string]error) (dirs []string) {
	for _, w := range wanted {
		dir := w.rec.RecordDir
		if away[dir] == nil || slices.Contains(dirs, dir) {
			continue
		}
		from := w.from
		for _, c := range chosen {
			if away[c.rec.RecordDir] == nil && !c.from.After(from.Add(seam)) && c.to.After(from) {
				from = c.to
			}
		}
		if w.to.Sub(from) > seam {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// choose returns which recording a span has at each time (archive.Pieces). recordings are
// in the order of their starts. The last one that runs is taken to go on to the end of the
// span: the catalogue hears of it now and then, and others that run may be of nodes that
// have died.
func choose(recordings []media.Recording, s media.TimeSpan) []piece {
	if s.Live {
		s.To = s.From.Add(endless)
	}
	recordings = slices.Clone(recordings)
	for i := range slices.Backward(recordings) {
		if r := &recordings[i]; r.Status == media.StatusRecording {
			r.Duration = max(r.Duration, s.To.Sub(r.Start).Seconds())
			break
		}
	}
	chosen := archive.Pieces(recordings, s)
	pieces := make([]piece, len(chosen))
	for i, c := range chosen {
		pieces[i] = piece{rec: *c.Recording, from: c.From, to: c.To}
	}
	return pieces
}
