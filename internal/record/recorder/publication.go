package recorder

import (
	"cmp"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
)

// publication is the recorder's side of a live.Publication.
type publication struct {
	announced []media.Track            // all that were negotiated
	missing   map[arrange.Lane]string  // why tracks cannot be recorded
	tracks    map[media.TrackID]*track // those that are recorded
	recorded  []*track                 // the same, in the order of the offer
	ordered   []*track                 // the same, sound first: it waits for the picture of its time, which does not wait for it
	decoded   map[arrange.Lane]bool    // those of which something came that can be decoded
	refused   bool                     // none of it can be recorded
}

// arranged returns the tracks as the arranger knows them.
func (p *publication) arranged() []arrange.Track {
	tracks := make([]arrange.Track, len(p.recorded))
	for i, tr := range p.recorded {
		tracks[i] = tr.arranged()
	}
	return tracks
}

// newPublication chooses the tracks to record: one of audio, and one of video
// or all of its layers.
func (s *session) newPublication(announced []media.Track) *publication {
	pub := &publication{announced: announced, missing: map[arrange.Lane]string{}, tracks: map[media.TrackID]*track{}, decoded: map[arrange.Lane]bool{}}
	for _, mt := range announced {
		if !pub.wants(mt) {
			s.log.Warn("track is not recorded: one of its kind is", "kind", mt.Kind.String(), "mid", mt.MID)
			continue
		}
		tr, err := newTrack(mt, pub.layer(mt))
		if err != nil {
			s.log.Warn("track is not recorded", "kind", mt.Kind.String(), "codec", mt.Codec, "reason", err)
			pub.missing[arrange.Lane{Kind: mt.Kind, Layer: pub.layer(mt)}] = err.Error()
			continue
		}
		pub.tracks[mt.ID] = tr
		pub.recorded = append(pub.recorded, tr)
	}
	pub.ordered = slices.Clone(pub.recorded)
	slices.SortStableFunc(pub.ordered, func(a, b *track) int { return cmp.Compare(b.Kind, a.Kind) })
	return pub
}

// wants reports whether a track is to be recorded: the first of its kind, or
// another layer of the first video.
func (p *publication) wants(mt media.Track) bool {
	for _, tr := range p.recorded {
		if tr.Kind == mt.Kind {
			return mt.Kind == media.Video && mt.RID != "" && mt.MID == tr.MID
		}
	}
	return true
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

// recordable returns nil if one of the tracks can be recorded, else an error
// that says why none can.
func recordable(tracks []media.Track) error {
	var why []string
	for _, t := range tracks {
		c, ok := codec.Lookup(t.Codec)
		switch {
		case !ok:
			why = append(why, t.Codec+" is not known")
		case c.Recordable():
			return nil
		default:
			why = append(why, c.Why)
		}
	}
	if len(why) == 0 {
		return fault.New(fault.Unprocessable, "the publisher sends no audio and no video").Coded("nothing_sent")
	}
	return fault.Errorf(fault.Unprocessable, "no track of this stream can be recorded: %s", strings.Join(why, "; ")).Coded("not_recordable", "reason", strings.Join(why, "; "))
}
