package swarm

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/net/ipv4"

	"github.com/live777/recorder/internal/media"
)

const reportEvery = time.Second // sender reports of each track

// track is the place of a stream in the audio or the video.
type track struct {
	frames      []frame
	payloadType uint8
	ssrc        uint32
	next        int           // frame
	at          time.Duration // of the next frame, from the beginning
	reportAt    time.Duration
	seq         uint16
	timestamp   uint32
	packets     uint32
	octets      uint32
}

func newTrack(frames []frame, payloadType uint8) *track {
	return &track{frames: frames, payloadType: payloadType, ssrc: rand.Uint32(), seq: uint16(rand.Uint32()), timestamp: rand.Uint32()}
}

// send sends the next frame of a track in one system call, and a sender report when
// that is due.
func (s *stream) send(t *track, now time.Time) error {
	f := &t.frames[t.next]
	s.messages = s.messages[:0]
	for i, payload := range f.payloads {
		s.writeHeader(t, i == len(f.payloads)-1)
		if err := s.add(payload); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	t.packets += uint32(len(f.payloads))
	t.octets += f.bytes
	if t.at >= t.reportAt {
		t.reportAt = t.at + reportEvery
		if err := s.report(t, now); err != nil {
			return err
		}
	}
	t.timestamp += f.ticks
	t.at += f.duration
	t.next = (t.next + 1) % len(t.frames)
	return nil
}

// writeHeader makes the RTP header of the next packet, with the extension that has its
// number among all packets (RFC 3550 5.3.1, RFC 8285 4.2).
func (s *stream) writeHeader(t *track, last bool) {
	h := s.header[:0]
	h = append(h, 0x90, t.payloadType) // version 2, with an extension
	if last && t.payloadType == videoType {
		h[1] |= 0x80
	}
	h = binary.BigEndian.AppendUint16(h, t.seq)
	h = binary.BigEndian.AppendUint32(h, t.timestamp)
	h = binary.BigEndian.AppendUint32(h, t.ssrc)
	h = append(h, 0xbe, 0xde, 0, 1, twccID<<4|1)
	h = binary.BigEndian.AppendUint16(h, s.twcc)
	h = append(h, 0)
	s.header = h
	t.seq++
	s.twcc++
}

// add encrypts the packet of the header and a payload for the next system call.
func (s *stream) add(payload []byte) error {
	n := len(s.messages)
	if n == len(s.packets) {
		s.packets = append(s.packets, make([]byte, 0, maxPacket))
	}
	s.header = append(s.header, payload...)
	packet, err := s.out.EncryptRTP(s.packets[n][:0], s.header, nil)
	if err != nil {
		return err
	}
	s.packets[n] = packet
	s.messages = append(s.messages, ipv4.Message{Buffers: s.packets[n : n+1 : n+1], Addr: s.to})
	return nil
}

// flush sends what was added.
func (s *stream) flush() error {
	for left := s.messages; len(left) > 0; {
		n, err := s.batch.WriteBatch(left, 0)
		if err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// report sends a sender report of a track (RFC 3550 6.4.1).
func (s *stream) report(t *track, now time.Time) error {
	plain, err := (&rtcp.SenderReport{SSRC: t.ssrc, NTPTime: media.NTP(now), RTPTime: t.timestamp, PacketCount: t.packets, OctetCount: t.octets}).Marshal()
	if err != nil {
		return err
	}
	packet, err := s.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return err
	}
	_, err = s.conn.WriteToUDP(packet, s.to)
	return err
}
