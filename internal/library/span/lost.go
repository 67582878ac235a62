package span

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

// nameLost returns a track's playlist with what the storage has lost of the track, as date
// ranges (RFC 8216bis 4.4.5.1): something stands there that plays, and nobody would see
// it. A playlist that goes on is not changed but at its end, and has none.
func nameLost(playlist []byte, name string, p *Parts) []byte {
	at := bytes.Index(playlist, []byte("#EXT-X-MAP"))
	if p.Running || at < 0 {
		return playlist
	}
	const form = "2006-01-02T15:04:05.000Z"
	var ranges []byte
	for i := range p.Clips {
		c := &p.Clips[i]
		for _, g := range gapsOf(&c.Recording, strings.TrimSuffix(name, ".m3u8")) {
			from := time.Duration(g.Start * float64(time.Second))
			to := from + time.Duration(g.Duration*float64(time.Second))
			if g.Cause != media.CauseStorage || to <= c.From || from >= c.To {
				continue
			}
			start := c.Presentation.AvailabilityStart.Add(from).UTC().Format(form)
			ranges = fmt.Appendf(ranges, "#EXT-X-DATERANGE:ID=\"lost %s\",CLASS=\"live777.lost\",START-DATE=\"%s\",DURATION=%.3f,X-CAUSE=\"%s\"\n", start, start, g.Duration, g.Cause)
		}
	}
	return bytes.Join([][]byte{playlist[:at], ranges, playlist[at:]}, nil)
}

// gapsOf returns the gaps of the track that is called so in manifests.
func gapsOf(r *media.Recording, track string) []media.Gap {
	for i := range r.Tracks {
		id := r.Tracks[i].Kind
		if layer := r.Tracks[i].Layer; layer > 0 {
			id = fmt.Sprintf("%s-%d", id, layer+1)
		}
		if id == track {
			return r.Tracks[i].Gaps
		}
	}
	return nil
}
