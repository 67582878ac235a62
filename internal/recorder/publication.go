package recorder

import (
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/timeline"
)

// publication is the recorder's side of a live.Publication.
type publication struct {
	announced []media.Track            // all that were negotiated
	missing   map[lane]string          // why tracks cannot be recorded
	tracks    map[media.TrackID]*track // those that are recorded
	videos    []*track                 // the layers that are recorded; one where there is no simulcast
	lead      *track                   // the layer that decides where Periods and segments begin; nil before the first key frame
	audio     *track
	time      *timeline.Timeline
	refused   bool // none of it can be recorded
}

// lanes returns the lanes of the tracks that are recorded and have not gone silent.
func (p *publication) lanes() []lane {
	var lanes []lane
	for _, tr := range p.tracks {
		if !tr.away {
			lanes = append(lanes, tr.lane)
		}
	}
	return lanes
}

// newPublication chooses the tracks to record: one of audio, and one of video
// or all of its layers.
func (s *session) newPublication(announced []media.Track) *publication {
	pub := &publication{announced: announced, missing: map[lane]string{}, tracks: map[media.TrackID]*track{}}
	var recorded []media.Track
	for _, mt := range announced {
		if !pub.wants(mt) {
			s.log.Warn("track is not recorded: one of its kind is", "kind", mt.Kind.String(), "mid", mt.MID)
			continue
		}
		tr, err := newTrack(mt, pub.layer(mt))
		if err != nil {
			s.log.Warn("track is not recorded", "kind", mt.Kind.String(), "codec", mt.Codec, "reason", err)
			pub.missing[lane{mt.Kind, pub.layer(mt)}] = err.Error()
			continue
		}
		pub.tracks[mt.ID] = tr
		recorded = append(recorded, mt)
		if mt.Kind == media.Audio {
			pub.audio = tr
		} else {
			pub.videos = append(pub.videos, tr)
		}
	}
	pub.time = timeline.New(recorded)
	return pub
}

// wants reports whether a track is to be recorded: the first of its kind, or
// another layer of the first video.
func (p *publication) wants(mt media.Track) bool {
	if mt.Kind == media.Audio {
		return p.audio == nil
	}
	return len(p.videos) == 0 || mt.RID != "" && mt.MID == p.videos[0].MID
}

// layer returns the place of a track among the layers of its video, in the
// order of the offer; 0 for audio.
func (p *publication) layer(mt media.Track) int {
	n := 0
	for _, other := range p.announced {
		if other.ID == mt.ID {
			break
		}
		if mt.Kind == media.Video && other.Kind == media.Video && other.MID == mt.MID {
			n++
		}
	}
	return n
}
