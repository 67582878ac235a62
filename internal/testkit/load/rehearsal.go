package load

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pion/rtp"

	"github.com/live777/recorder/internal/media"
)

// Rehearsal is a Run without a network, in which nothing is waited for: whoever has it
// says what time it is. It is not safe for concurrent use.
type Rehearsal struct {
	s    *session
	now  time.Duration
	send func(Leaving)
}

// Leaving is a packet, or a sender report where RTP is nil, that leaves a Rehearsal.
type Leaving struct {
	At    time.Duration // media time
	Track int           // the video, its other layers, the audio, as far as there are
	SSRC  uint32
	RTP   *rtp.Packet
	Lost  bool // on the way. It is to be sent again if it is asked for
	Twice bool
	NTP   uint64 // of a report
	TS    uint32 // of a report
}

// Rehearse begins a Run with the options, without their URL, and gives send what leaves.
func Rehearse(o Options, send func(Leaving)) (*Rehearsal, error) {
	o.URL = "http://localhost/"
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("publisher options: %w", err)
	}
	r := &Rehearsal{send: send}
	r.s = &session{opts: &o, log: &Log{}, dropper: newDropper(), end: o.Duration, endless: o.Duration == 0, rehearsal: r}
	r.s.start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r.s.log.Started = r.s.start.Add(o.ClockOffset)
	if err := r.s.addTracks(); err != nil {
		return nil, err
	}
	for _, t := range r.s.tracks {
		t.nack = true
	}
	return r, nil
}

// Tracks returns what the publisher would offer.
func (r *Rehearsal) Tracks() (tracks []media.Track) {
	for i, t := range r.s.tracks {
		mt := media.Track{
			ID: media.TrackID(i), Kind: t.src.Kind, Codec: t.src.Codec, ClockRate: t.src.ClockRate, Channels: t.src.Channels,
			Fmtp: t.src.Fmtp, MID: t.src.Kind.String(),
		}
		if t.src.Kind == media.Video && len(r.s.opts.Layers) > 0 {
			mt.RID = strconv.Itoa(i)
		}
		tracks = append(tracks, mt)
	}
	return tracks
}

// Next returns the media time of the next thing to do; ok is false at the end.
func (r *Rehearsal) Next() (at time.Duration, ok bool) { return r.s.next() }

// Step does everything that is due at a media time.
func (r *Rehearsal) Step(at time.Duration) error {
	r.now = at
	return r.s.step(at)
}

// RequestKeyFrame asks for a key frame of a track.
func (r *Rehearsal) RequestKeyFrame(track int) {
	select {
	case r.s.tracks[track].seekKey <- struct{}{}:
	default:
	}
}

// leaves tells what leaves now.
func (r *Rehearsal) leaves(h *held) {
	l := Leaving{At: r.now, SSRC: r.s.dropper.name(h.track.log.SSRC), RTP: h.rtp, Lost: h.fate.lost, Twice: h.fate.twice, NTP: h.ntp, TS: h.ts}
	for r.s.tracks[l.Track] != h.track {
		l.Track++
	}
	r.send(l)
}
