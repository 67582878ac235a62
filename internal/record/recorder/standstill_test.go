package recorder

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// queued is what a process finds in its queue that went on at a time.
type queued struct {
	w      waking
	tracks map[media.TrackID]*track
	wants  []time.Duration // since the standstill began; -1: the item says nothing
	base   time.Time
}

const (
	soundTrack   media.TrackID = 0
	pictureTrack media.TrackID = 1
	stood                      = 10 * time.Second
)

func newQueued() *queued {
	base := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return &queued{base: base, w: waking{from: base, since: base.Add(stood)}, tracks: map[media.TrackID]*track{
		soundTrack:   {Track: media.Track{ID: soundTrack, ClockRate: 48000}},
		pictureTrack: {Track: media.Track{ID: pictureTrack, ClockRate: 90000}},
	}}
}

func (q *queued) rtp(id media.TrackID, ssrc uint32, sent time.Duration) uint32 {
	return ssrc*1_000_000_007 + uint32(media.TicksOf(sent, q.tracks[id].ClockRate))
}

// packet is one that was sent at a time and came at another; want is when it would have.
func (q *queued) packet(id media.TrackID, ssrc uint32, sent, came, want time.Duration) {
	p := &media.Packet{Track: id, SSRC: ssrc, Seq: uint16(len(q.w.items)), Timestamp: q.rtp(id, ssrc, sent), Arrival: q.base.Add(came)}
	q.w.items, q.wants = append(q.w.items, live.Item{Packet: p}), append(q.wants, want)
}

func (q *queued) report(id media.TrackID, ssrc uint32, sent, came, want time.Duration) {
	r := &media.SenderReport{Track: id, SSRC: ssrc, RTP: q.rtp(id, ssrc, sent), Arrival: q.base.Add(came)}
	q.w.items, q.wants = append(q.w.items, live.Item{Report: r}), append(q.wants, want)
}

// what was held up while the process stood still.
func (q *queued) held(id media.TrackID, ssrc uint32, sent, want time.Duration) {
	q.packet(id, ssrc, sent, stood, want)
}

func (q *queued) check(t *testing.T) {
	t.Helper()
	q.w.retime(q.tracks)
	q.w.follow(q.tracks)
	for i := range q.w.items {
		got := time.Duration(-1)
		if at := arrivalOf(&q.w.items[i]); !at.IsZero() {
			got = at.Sub(q.base)
		}
		if d := got - q.wants[i]; d.Abs() > time.Millisecond {
			t.Errorf("item %d came after %v, want %v", i, got, q.wants[i])
		}
	}
}

// What was held up came when its timestamps say, by what comes in time behind it.
func TestHeldUp(t *testing.T) {
	q := newQueued()
	for sent := time.Second; sent < stood; sent += time.Second {
		q.report(soundTrack, 1, sent, stood, -1)
		q.held(soundTrack, 1, sent, sent+10*time.Millisecond)
		q.held(pictureTrack, 2, sent, sent+30*time.Millisecond)
	}
	q.report(soundTrack, 1, stood, stood+50*time.Millisecond, stood+50*time.Millisecond)
	q.packet(soundTrack, 1, stood, stood+10*time.Millisecond, stood+10*time.Millisecond)
	q.packet(pictureTrack, 2, stood, stood+30*time.Millisecond, stood+30*time.Millisecond)
	q.check(t)
}

// A stream that took the place of another came when that ended, at the latest; the one before
// it is known from before the standstill, or ended when the other began.
func TestHeldUpOfOtherStreams(t *testing.T) {
	q := newQueued()
	q.tracks[soundTrack].last = sent{1, q.rtp(soundTrack, 1, 0), q.base}
	q.held(soundTrack, 1, 2*time.Second, 2*time.Second)
	q.held(pictureTrack, 2, 5*time.Second, 5*time.Second)
	q.held(pictureTrack, 2, 6*time.Second, 6*time.Second)
	q.held(pictureTrack, 3, 6*time.Second, 6*time.Second)
	q.held(soundTrack, 4, 7*time.Second, 7*time.Second)
	q.packet(soundTrack, 4, stood+inTime, stood+inTime, stood+inTime)
	q.packet(pictureTrack, 3, stood+inTime, stood+inTime, stood+inTime)
	q.check(t)
}

// A stream that took the place of another goes on at once, where nothing behind it tells when it
// came: its sender left before the process went on.
func TestHeldUpOfOtherStreamsAndEnd(t *testing.T) {
	q := newQueued()
	q.tracks[soundTrack].last = sent{1, q.rtp(soundTrack, 1, 0), q.base}
	q.held(soundTrack, 1, 2*time.Second, 2*time.Second)
	q.held(soundTrack, 3, 2*time.Second, 2*time.Second)
	q.held(soundTrack, 3, 4*time.Second, 4*time.Second)
	q.held(soundTrack, 4, 4*time.Second, 4*time.Second)
	q.held(soundTrack, 4, 5*time.Second, 5*time.Second)
	q.check(t)
}

// A packet that came late before the standstill does not make those behind it late: the one before
// it, which was held up least, tells when they came. After a second the next one does.
func TestHeldUpBehindALatePacket(t *testing.T) {
	for before, want := range map[time.Duration]time.Duration{500 * time.Millisecond: 0, 2 * time.Second: 300 * time.Millisecond} {
		q := newQueued()
		tr := q.tracks[soundTrack]
		push := func(at, late time.Duration) {
			tr.last = tr.last.next(&media.Packet{SSRC: 1, Timestamp: q.rtp(soundTrack, 1, at-late), Arrival: q.base.Add(at)}, tr.ClockRate)
		}
		push(-before, 0)
		push(0, 300*time.Millisecond)
		q.held(soundTrack, 1, time.Second, time.Second+want)
		q.check(t)
	}
}

// Timestamps that jump tell nothing of when a packet came: it was before what is behind it.
func TestHeldUpWithJump(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		q := newQueued()
		q.held(soundTrack, 1, 4*time.Second, 4*time.Second)
		q.held(soundTrack, 1, 5*time.Second, 5*time.Second)
		q.held(soundTrack, 1, 5*time.Second+jump, 5*time.Second)
		q.packet(soundTrack, 1, stood+jump, stood, stood)
		q.check(t)
	}
}

// They follow what is right before them, where their sender has left before the process went on.
func TestHeldUpWithJumpAndEnd(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		q := newQueued()
		q.tracks[soundTrack].last = sent{1, q.rtp(soundTrack, 1, 0), q.base}
		q.held(soundTrack, 1, 4*time.Second, 4*time.Second)
		q.held(soundTrack, 1, 5*time.Second, 5*time.Second)
		q.held(soundTrack, 1, 5*time.Second+jump, 5*time.Second)
		q.held(soundTrack, 1, 6*time.Second+jump, 6*time.Second)
		q.check(t)
	}
}

// Of a track that came while the process stood still, and ended before that went on, each packet
// came before what is behind it of others.
func TestHeldUpOfNewTrack(t *testing.T) {
	q := newQueued()
	q.tracks[pictureTrack].last = sent{2, q.rtp(pictureTrack, 2, 0), q.base}
	for at := time.Second; at < 4*time.Second; at += 20 * time.Millisecond {
		q.held(soundTrack, 1, at, at)
		q.report(soundTrack, 1, at, stood, -1)
		q.held(pictureTrack, 2, at, at)
	}
	q.held(soundTrack, 1, 4*time.Second, 4*time.Second)
	q.check(t)
}

// Packets that were overtaken, or held up by the network too, put no others off.
func TestHeldUpWithReordering(t *testing.T) {
	q := newQueued()
	for sent := 2 * time.Second; sent < stood; sent += time.Second {
		q.held(soundTrack, 1, sent, sent)
		q.held(soundTrack, 1, sent-100*time.Millisecond, sent-100*time.Millisecond)
	}
	q.packet(soundTrack, 1, stood, stood+80*time.Millisecond, stood)
	q.packet(soundTrack, 1, stood+20*time.Millisecond, stood+20*time.Millisecond, stood+20*time.Millisecond)
	q.check(t)
}

// What is kept is bounded, however much comes at once.
func TestHeldUpIsBounded(t *testing.T) {
	base := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	now := base.Add(stood)
	s := &session{r: &Recorder{o: Options{Now: func() time.Time { return now }}}, now: base, inbox: inbox{seen: base}, presence: presence{pub: &publication{}}}
	item := live.Item{Packet: &media.Packet{Arrival: now}}
	for range maxWaking - 1 {
		if !s.keeps(&item) {
			t.Fatal("it is not kept")
		}
	}
	if got := len(s.waking.items); got != maxWaking-1 {
		t.Errorf("%d items are kept", got)
	}
	if s.keeps(&item); s.waking != nil || !s.now.Equal(now) {
		t.Error("they are not recorded")
	}
}
