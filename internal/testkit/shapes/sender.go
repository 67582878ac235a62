package shapes

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/load"
)

// packet is how many bytes of a unit go into one packet.
const packet = 1180

// sender is a publisher in the time of a Shape.
type sender struct {
	pub    *live.Publication
	zero   time.Time // of the Shape
	tracks []*track
}

// track is what a sender sends of one Take.
type track struct {
	media.Track
	take   Take
	clips  []change
	pack   rtp.Payloader
	ssrc   uint32
	seq    uint16
	origin int64 // RTP time of the Shape's beginning

	next     time.Duration // when the next unit is due
	sent     int           // units so far, of a Take that Goes
	reported time.Duration

	mu    sync.Mutex
	asked bool
}

type change struct {
	at     time.Duration
	every  time.Duration // from one unit to the next
	source *load.Source
	shown  []int // by unit: which picture it is, in the order of showing; nil: the same
}

// RequestKeyFrame implements live.Publisher.
func (s *sender) RequestKeyFrame(id media.TrackID) {
	tr := s.tracks[id]
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.asked = true
}

// Close implements live.Publisher.
func (s *sender) Close() {}

// newSender makes a sender of a publication; it does not publish yet.
func (st *Studio) newSender(ctx context.Context, p Publication, zero time.Time) (*sender, error) {
	s := &sender{zero: zero}
	takes := p.Video
	if p.Audio != nil {
		takes = append(append([]Take{}, takes...), *p.Audio)
	}
	for i, take := range takes {
		tr := &track{take: take, ssrc: uint32(1000*len(takes) + i), seq: 65000, next: p.From, reported: -time.Hour}
		tr.ID, tr.MID = media.TrackID(i), "0"
		if err := st.load(ctx, tr, i < len(p.Video)); err != nil {
			return nil, err
		}
		tr.origin = int64(i) * 1e6
		if len(p.Video) > 1 && i < len(p.Video) {
			tr.RID = string(rune('a' + i))
		}
		if tr.Kind == media.Audio {
			tr.MID = "1"
		}
		s.tracks = append(s.tracks, tr)
	}
	return s, nil
}

func (st *Studio) load(ctx context.Context, tr *track, video bool) error {
	if !video {
		source, err := st.Audio(ctx)
		if err != nil {
			return err
		}
		tr.clips = []change{{every: 20 * time.Millisecond, source: source}}
	} else {
		for _, c := range append([]Change{{0, tr.take.Video}}, tr.take.Then...) {
			source, err := st.Video(ctx, c.Video)
			if err != nil {
				return err
			}
			tr.clips = append(tr.clips, change{at: time.Duration(c.At * float64(time.Second)), every: c.interval(), source: source, shown: order(source, c.Video)})
		}
	}
	source := tr.clips[0].source
	tr.Kind, tr.Codec, tr.ClockRate, tr.Channels, tr.Fmtp = source.Kind, source.Codec, source.ClockRate, source.Channels, source.Fmtp
	pack, ok := map[string]rtp.Payloader{
		"H264": &codecs.H264Payloader{}, "H265": &codecs.H265Payloader{}, "AV1": &codecs.AV1Payloader{}, "VP8": &codecs.VP8Payloader{},
		"VP9": &codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return 7 }}, "opus": &codecs.OpusPayloader{},
	}[source.Codec]
	if !ok {
		return fmt.Errorf("a clip of codec %s cannot be sent", source.Codec)
	}
	tr.pack = pack
	return nil
}

// order returns which pictures the units of a clip are, that are sent in the order
// of decoding: of BFrames+1 in a row the last is sent first. Nil where nothing differs.
func order(source *load.Source, v Video) []int {
	if v.BFrames == 0 {
		return nil
	}
	shown := make([]int, len(source.Units))
	for first := 0; first < len(shown); first += v.GOP {
		end := min(first+v.GOP, len(shown))
		shown[first] = first
		for j := first + 1; j < end; {
			n := min(v.BFrames+1, end-j) // a P and the B before it
			shown[j] = j + n - 1
			for k := 1; k < n; k++ {
				shown[j+k] = j + k - 1
			}
			j += n
		}
	}
	return shown
}

// publish begins.
func (s *sender) publish(streams *live.Streams, stream string, at time.Duration) error {
	tracks := make([]media.Track, len(s.tracks))
	for i, tr := range s.tracks {
		tracks[i] = tr.Track
	}
	pub, err := streams.Publish(stream, live.SessionInfo{ID: "s", CreatedAt: s.zero.Add(at), State: "connected"}, tracks, s)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	s.pub = pub
	return nil
}

// due returns the track whose unit is the next before a time, or nil.
func (s *sender) due(before time.Duration) (next *track) {
	for _, tr := range s.tracks {
		if tr.next < before && (next == nil || tr.next < next.next) {
			next = tr
		}
	}
	return next
}

// send sends the unit of a track that is due, and notes it.
func (s *sender) send(tr *track, plan *plan) {
	at := tr.next
	c := tr.clip(at)
	tr.next += c.every
	// A unit is that of its time, so that publishers that come back go on in the clip.
	i := int((at + c.every/2) / c.every)
	if !tr.take.sends(at) || !tr.picks(at, c.every) {
		return
	}
	if tr.take.Goes {
		i = tr.sent
	}
	tr.sent++
	unit := &c.source.Units[i%len(c.source.Units)]
	ticks, shown := int64(media.TicksOf(at, tr.ClockRate)), at
	if c.shown != nil {
		i = c.shown[i%len(c.shown)]
		shown = time.Duration(i) * c.every
		ticks = int64(media.TicksOf(shown, tr.ClockRate))
	}
	lost := within(tr.take.Lost, at)
	s.write(tr, unit, at, uint32(tr.origin+ticks), lost)
	plan.note(tr, shown, int(time.Duration(i)*c.every/time.Second), lost, unit.Key)
}

func (s *sender) write(tr *track, unit *load.AccessUnit, at time.Duration, timestamp uint32, lost bool) {
	now := s.zero.Add(at)
	payloads := tr.pack.Payload(packet, unit.Data)
	for i, p := range payloads {
		tr.seq++
		if !lost {
			s.pub.WritePacket(&media.Packet{
				Track: tr.ID, SSRC: tr.ssrc, Seq: tr.seq, Timestamp: timestamp, Marker: i == len(payloads)-1, Payload: p, Arrival: now,
			})
		}
	}
	if at-tr.reported < time.Second {
		return
	}
	tr.reported = at
	ticks := uint32(tr.origin + int64(media.TicksOf(at, tr.ClockRate)))
	s.pub.WriteReport(&media.SenderReport{Track: tr.ID, SSRC: tr.ssrc, NTP: media.NTP(now), RTP: ticks, Arrival: now})
}

// clip is the one of a time.
func (tr *track) clip(at time.Duration) *change {
	c := &tr.clips[0]
	for i := range tr.clips {
		if tr.clips[i].at <= at {
			c = &tr.clips[i]
		}
	}
	return c
}

// picks reports whether a picture is sent of those that come seldom.
func (tr *track) picks(at, every time.Duration) bool {
	if tr.take.Every == 0 {
		return true
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	asked := tr.asked && tr.take.Answers
	tr.asked = false
	n := time.Duration(tr.take.Every * float64(time.Second))
	return asked || at%n < every
}
