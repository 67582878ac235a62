package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/live777/recorder/internal/media"
)

// rtpHeader is the size of an RTP header without extensions (RFC 3550 5.1).
const rtpHeader = 12

var errConnectionLost = errors.New("the server or the network ended the connection")

// send does what is due, in order of media time, until all tracks have ended and
// nothing is held any more. It is the only goroutine that sends.
func (s *session) send(ctx context.Context) error {
	done := ctx.Done()
	for {
		at, ok := s.next()
		if !ok {
			return nil
		}
		switch cancelled, err := s.wait(at, done); {
		case err != nil:
			return err
		case cancelled:
			// No new units; what is held leaves at once, for its time may be far off.
			done, s.endless, s.end = nil, false, 0
			for _, h := range s.queue {
				h.due = 0
			}
			continue
		}
		if err := s.step(at); err != nil {
			return err
		}
	}
}

// next returns the media time of the next thing to do.
func (s *session) next() (at time.Duration, ok bool) {
	sooner := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if len(s.queue) > 0 {
		sooner(s.queue[0].due)
	}
	for _, t := range s.tracks {
		if !s.ended(t) {
			sooner(t.time())
			if s.opts.SenderReports {
				sooner(t.report)
			}
		}
	}
	return at, ok
}

// wait sleeps until media time at, or until done is closed or the connection ends.
func (s *session) wait(at time.Duration, done <-chan struct{}) (cancelled bool, err error) {
	select {
	case <-done: // also where the time has come already
		return true, nil
	default:
	}
	wall := time.Duration(float64(at) / s.opts.Pace)
	timer := time.NewTimer(wall - time.Since(s.start))
	defer timer.Stop()
	select {
	case <-s.failed:
		return false, errConnectionLost
	case <-done:
		return true, nil
	case <-timer.C:
	}
	select {
	case <-s.failed: // also where the time has come at the same moment
		return false, errConnectionLost
	default:
		return false, nil
	}
}

// step does everything that is due at media time at.
func (s *session) step(at time.Duration) error {
	for len(s.queue) > 0 && s.queue[0].due <= at {
		if err := s.release(s.queue.take()); err != nil {
			return err
		}
	}
	s.takeRequests()
	if s.opts.RebindAt > 0 && at >= s.opts.RebindAt {
		if err := s.socket.rebind(); err != nil {
			return err
		}
	}
	for _, t := range s.tracks {
		if !s.ended(t) && t.time() <= at {
			if err := s.sendUnit(t); err != nil {
				return err
			}
		}
		if s.opts.SenderReports && !s.ended(t) && t.report <= at {
			if err := s.sendReport(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// time returns the media time of the track's next unit.
func (t *track) time() time.Duration { return t.timeOf(t.pos) }

// timeOf returns the media time, which is that of a right clock, of a position.
func (t *track) timeOf(pos media.Ticks) time.Duration {
	if t.skew == 1 {
		return pos.Duration(t.src.ClockRate) // to the nanosecond
	}
	return time.Duration(float64(pos.Duration(t.src.ClockRate)) / t.skew)
}

// position returns the position of the track at media time at.
func (t *track) position(at time.Duration) media.Ticks {
	if t.skew == 1 {
		return media.TicksOf(at, t.src.ClockRate)
	}
	return media.TicksOf(time.Duration(float64(at)*t.skew), t.src.ClockRate)
}

// timestamp returns the RTP timestamp, not wrapped, of a position.
func (s *session) timestamp(t *track, pos media.Ticks) int64 {
	ts := t.first + int64(pos)
	if s.opts.JumpBy != 0 && t.timeOf(pos) >= s.opts.JumpAt {
		ts += int64(media.TicksOf(s.opts.JumpBy, t.src.ClockRate))
	}
	return ts
}

func (s *session) ended(t *track) bool { return !s.endless && t.time() >= s.end }

// captured returns the sender's clock at a position of the track.
func (s *session) captured(t *track, pos media.Ticks) time.Time {
	return s.log.Started.Add(t.timeOf(pos)).Round(0)
}

// sendUnit packetizes the next unit of t and moves on to the one after it.
func (s *session) sendUnit(t *track) error {
	if s.renameSource(t) || t.wantKey {
		t.wantKey = false
		before := t.cursor.next
		t.cursor.seekKey()
		t.log.Skipped += (t.cursor.next - before + len(t.src.Units)) % len(t.src.Units)
	}
	unit := t.cursor.unit()
	shown := t.pos + unit.Composition
	timestamp := s.timestamp(t, shown)
	sent := SentUnit{
		Timestamp: timestamp, RTP: uint32(timestamp), Key: unit.Key,
		SampleBytes: unit.Sample, Size: len(unit.Sample), SHA256: unit.SHA256,
		Sent: time.Now(), NTP: s.captured(t, shown),
	}
	payloads := t.payloader.Payload(uint16(s.opts.MTU-rtpHeader), unit.Data)
	if len(payloads) == 0 {
		return fmt.Errorf("the %s packetizer refuses unit %d of the file", t.src.Codec, t.cursor.next)
	}
	for i, payload := range payloads {
		p := &rtp.Packet{
			Header: rtp.Header{
				Version: 2, SequenceNumber: t.seq, Timestamp: sent.RTP, SSRC: t.log.SSRC,
				Marker: t.src.Kind == media.Video && i == len(payloads)-1,
			},
			Payload: payload,
		}
		for id, label := range t.labels {
			if err := p.SetExtension(id, []byte(label)); err != nil {
				return fmt.Errorf("label %s packet: %w", t.src.Kind, err)
			}
		}
		t.seq++
		lost, err := s.sendPacket(t, p)
		if err != nil {
			return err
		}
		if lost {
			sent.Lost++
		}
	}
	t.advance(s.opts, unit.Duration)
	t.log.UnitCount++
	if t == s.tracks[0] && t.log.UnitCount == s.opts.Units {
		s.limit(t.time())
	}
	if !s.opts.NoUnits {
		t.log.Units = append(t.log.Units, sent)
	}
	if s.opts.OnUnit != nil {
		s.opts.OnUnit(t.src.Kind, sent)
	}
	return nil
}

// takeRequests looks for requests for key frames. An encoder makes one of all its
// layers at once.
func (s *session) takeRequests() {
	for _, t := range s.tracks {
		select {
		case <-t.seekKey:
		default:
			continue
		}
		for _, layer := range s.tracks {
			layer.wantKey = layer.wantKey || s.opts.KeyFrameOnPLI && layer.sender == t.sender
		}
	}
}

// advance moves to the next unit, d later, and over the pause.
func (t *track) advance(o *Options, d media.Ticks) {
	t.cursor.advance()
	t.pos += d
	if !t.paused && o.PauseFor > 0 && t.time() >= o.PauseAt {
		t.paused = true
		t.pos += media.TicksOf(o.PauseFor, t.src.ClockRate)
	}
	t.skipOff(d)
}

// skipOff moves over the time in which the track is off, units of d ticks.
func (t *track) skipOff(d media.Ticks) {
	if !t.off.has(t.time()) {
		return
	}
	for t.off.has(t.time()) {
		t.pos += d
	}
	if t.src.Kind == media.Video {
		t.cursor.seekKey()
	}
}

// renameSource gives the video another SSRC when it is time, and numbers its
// packets anew, as an encoder does that was started again. It reports whether it has.
func (s *session) renameSource(t *track) bool {
	if s.opts.SSRCAt == 0 || t.src.Kind != media.Video || t.ssrc != t.log.SSRC || t.time() < s.opts.SSRCAt {
		return false
	}
	t.ssrc = ^t.log.SSRC
	t.seq += 1 << 14
	s.dropper.rename(t.log.SSRC, t.ssrc)
	return true
}

// limit ends all tracks at media time at, if they do not end before.
func (s *session) limit(at time.Duration) {
	if s.endless || at < s.end {
		s.endless, s.end = false, at
	}
}

// sendPacket takes p through the impairments. It reports whether the packet is
// lost for good.
func (s *session) sendPacket(t *track, p *rtp.Packet) (lost bool, err error) {
	t.log.Packets++
	t.log.Bytes += int64(len(p.Payload))
	t.packets++
	t.octets += uint32(len(p.Payload))

	f := t.impair.next()
	final := s.opts.LossNoRTX || !t.nack
	if f.lost {
		t.log.Dropped = append(t.log.Dropped, Dropped{
			Seq: p.SequenceNumber, Timestamp: p.Timestamp, Final: final, Time: time.Now(),
		})
		if final {
			return true, nil
		}
	}
	if f.late > 0 {
		t.log.Reordered++
	}
	if f.twice {
		t.log.Duplicated++
	}
	return false, s.hold(&held{track: t, rtp: p, fate: f}, t.time())
}

// sendReport sends the sender report of t that is due: the clocks at that very
// instant, so that the pair is exact (RFC 3550 6.4.1).
func (s *session) sendReport(t *track) error {
	at := t.report
	t.report += s.opts.ReportInterval
	if t.log.UnitCount == 0 {
		return nil // there is nothing to tell of yet
	}
	pos := t.position(at)
	t.log.Reports++
	clock := s.captured(t, pos).Add(t.impair.reportLate())
	if s.opts.ReportSeconds {
		clock = clock.Truncate(time.Second)
	}
	h := &held{track: t, ntp: media.NTP(clock), ts: uint32(s.timestamp(t, pos))}
	switch liar := s.tracks[len(s.tracks)-1]; {
	case s.opts.NoReportNTP:
		h.ntp = 0
	case s.opts.LieBy != 0 && t == liar && !t.lied && at >= s.opts.LieAt:
		t.lied = true
		h.ntp = media.NTP(s.captured(t, pos).Add(s.opts.LieBy))
	}
	return s.hold(h, at)
}

// hold lets h go at once, media time now, or queues it where a fault keeps it.
func (s *session) hold(h *held, now time.Duration) error {
	at := now + h.track.delay
	if h.rtp != nil {
		at = h.track.impair.jittered(at) + h.fate.late
	}
	h.due = h.track.impair.leaves(at)
	if h.due == now {
		return s.release(h)
	}
	s.queue.add(h)
	return nil
}

// release hands h to the network.
func (s *session) release(h *held) error {
	if s.rehearsal != nil {
		s.rehearsal.leaves(h)
		return nil
	}
	if h.rtp == nil {
		return s.writeReport(h)
	}
	if h.fate.lost {
		s.dropper.drop(h.track.log.SSRC, h.rtp.SequenceNumber)
	}
	copies := 1
	if h.fate.twice {
		copies = 2
	}
	for range copies {
		if err := h.track.local.WriteRTP(h.rtp); err != nil {
			return fmt.Errorf("send %s packet: %w", h.track.src.Kind, err)
		}
	}
	return nil
}

func (s *session) writeReport(h *held) error {
	t := h.track
	err := s.pc.WriteRTCP([]rtcp.Packet{
		&rtcp.SenderReport{
			SSRC: t.ssrc, NTPTime: h.ntp, RTPTime: h.ts, PacketCount: t.packets, OctetCount: t.octets,
		},
		rtcp.NewCNAMESourceDescription(t.ssrc, "load"),
	})
	if err != nil {
		return fmt.Errorf("send %s report: %w", t.src.Kind, err)
	}
	return nil
}
