package receive

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
)

// rtpHeader is the least length of an RTP header, and rtcpHeader that of RTCP with its
// sender, in bytes (RFC 3550 sections 5.1 and 6.4).
const (
	rtpHeader  = 12
	rtcpHeader = 8
)

// slabSize is the size of the memory that packets are decrypted into: one allocation is
// for some fifty of them. It is freed with the last packet in it.
const slabSize = 64 << 10

// controlReplay is how many packets before the newest of a source of RTCP are taken.
const controlReplay = 64

// errNoKeys is that of what is sent before the handshake has ended.
var errNoKeys = errors.New("the session has no keys yet")

// inbound decrypts what a client sends.
type inbound struct {
	context *srtp.Context // nil before the handshake
	early   [][]byte      // what came before
	bytes   int           // in early
	slab    []byte
	control []byte
	out     []Packet // decrypted, not handed on; reused
	n       int      // in out

	sources, senders int       // SSRCs that the context keeps
	recent           [2]uint32 // the last ones of RTP that it knew
	tries            int       // in second
	second           int64
}

// outbound encrypts what is sent to it.
type outbound struct {
	sync.Mutex
	context *srtp.Context
	buffer  []byte
}

// isRTCP tells RTCP from RTP (RFC 5761 section 4).
func isRTCP(b []byte) bool { return 192 <= b[1] && b[1] <= 223 }

// ssrcOf returns the SSRC of an RTP packet, or of an RTCP packet's sender.
func ssrcOf(b []byte) uint32 {
	if isRTCP(b) {
		return binary.BigEndian.Uint32(b[4:])
	}
	return binary.BigEndian.Uint32(b[8:])
}

// take takes the packets of a batch that came from an address of the client. Anybody can
// forge that address, so only a packet that can be decrypted shows that the client is there.
func (s *Session) take(packets [][]byte, from netip.AddrPort, at time.Time) {
	s.in.Lock()
	defer s.in.Unlock()
	switch {
	case s.closed.Load():
	case s.rtp.context == nil:
		s.keep(packets)
	case s.decrypt(packets, at):
		s.hearFrom(from, at)
	}
}

// keep keeps packets until there are keys.
func (s *Session) keep(packets [][]byte) {
	for _, b := range packets {
		if s.rtp.bytes+len(b) > maxEarly {
			s.o.Handler.Lost(Early)
			continue
		}
		s.rtp.bytes += len(b)
		s.rtp.early = append(s.rtp.early, append([]byte(nil), b...))
	}
}

// install begins to decrypt.
func (s *Session) install(in, out *srtp.Context, at time.Time) {
	s.out.Lock()
	s.out.context = out
	s.out.Unlock()
	s.become(Connected) // before any packet is handed on
	s.in.Lock()
	defer s.in.Unlock()
	s.rtp.context = in
	s.decrypt(s.rtp.early, at)
	s.rtp.early = nil
}

// decrypt hands on what packets have, in their order, and reports whether any of them
// could be decrypted.
func (s *Session) decrypt(packets [][]byte, at time.Time) (authentic bool) {
	for _, b := range packets {
		switch {
		case len(b) >= rtcpHeader && isRTCP(b):
			s.flush(at)
			authentic = s.takeRTCP(b, at) || authentic
		case len(b) < rtpHeader:
			s.o.Handler.Lost(Malformed)
		default:
			err := s.decryptRTP(b)
			if err != nil && !isReplay(err) {
				s.o.Handler.Lost(Undecrypted)
			}
			authentic = err == nil || authentic
		}
	}
	s.flush(at)
	return authentic
}

// isReplay reports that a packet has come before. Nothing is lost with it.
func isReplay(err error) bool { return strings.Contains(err.Error(), "duplicated") }

// flush hands on the media that are decrypted.
func (s *Session) flush(at time.Time) {
	in := &s.rtp
	if in.n == 0 {
		return
	}
	s.o.Handler.TakeRTP(in.out[:in.n], at)
	for i := range in.n {
		in.out[i].Payload = nil
	}
	in.n = 0
}

// decryptRTP decrypts a packet into the slab.
func (s *Session) decryptRTP(b []byte) error {
	in := &s.rtp
	if len(in.slab) < len(b) {
		in.slab = make([]byte, max(slabSize, len(b)))
	}
	if in.n == len(in.out) {
		in.out = append(in.out, Packet{})
	}
	p := &in.out[in.n]
	ssrc := ssrcOf(b)
	known := ssrc == in.recent[0] || ssrc == in.recent[1]
	if !known {
		_, known = in.context.ROC(ssrc)
	}
	plain, err := in.context.DecryptRTP(in.slab[:0:len(b)], b, &p.Header)
	if err != nil {
		return err
	}
	if ssrc != in.recent[0] {
		in.recent = [2]uint32{ssrc, in.recent[0]}
	}
	if !known {
		if in.sources++; in.sources == maxSources {
			s.o.Handler.TooMany(Sources)
		}
	}
	n := headerLength(plain)
	p.Payload = plain[n:len(plain):len(plain)]
	in.slab = in.slab[len(plain):]
	in.n++
	return nil
}

// headerLength returns that of an RTP packet whose header could be read.
func headerLength(b []byte) int {
	n := rtpHeader + int(b[0]&0x0f)*4
	if b[0]&0x10 != 0 {
		n += 4 + int(binary.BigEndian.Uint16(b[n+2:]))*4
	}
	return min(n, len(b))
}

// takeRTCP decrypts a control packet and hands it on. It is false for one that cannot be
// decrypted: nothing that is recorded is lost with it.
func (s *Session) takeRTCP(b []byte, at time.Time) bool {
	in, ssrc := &s.rtp, ssrcOf(b)
	_, known := in.context.Index(ssrc)
	plain, err := in.context.DecryptRTCP(in.control[:0], b, nil)
	if err != nil {
		return false
	}
	in.control = plain
	if !known {
		if in.senders++; in.senders == maxSenders {
			s.o.Handler.TooMany(Sources)
		}
	}
	s.o.Handler.TakeRTCP(ssrc, plain, at)
	return true
}

// try takes a packet that has an SSRC of the session, from an address that nobody knows.
// A client whose NAT gives it another port goes on sending media, and checks the
// connection only seconds later. If the packet can be decrypted, the address is the
// client's from then on.
func (s *Session) try(b []byte, p path, at time.Time) {
	s.in.Lock()
	defer s.in.Unlock()
	in, old := &s.rtp, s.path.Load()
	if in.context == nil || old == nil || s.closed.Load() || !in.mayTry(at) {
		return
	}
	if isRTCP(b) {
		s.takeRTCP(b, at) // media move the client
		return
	}
	if s.decryptRTP(b) != nil || !s.learn(p.to) {
		return
	}
	s.path.Store(&p)
	s.hearFrom(p.to, at)
	s.o.Handler.Moved(old.to, p.to)
	s.flush(at)
}

// mayTry bounds what strangers make the node decrypt.
func (in *inbound) mayTry(at time.Time) bool {
	if second := at.Unix(); second != in.second {
		in.second, in.tries = second, 0
	}
	in.tries++
	return in.tries <= maxTries
}

// WriteRTCP sends control packets to the client.
func (s *Session) WriteRTCP(packets []rtcp.Packet) error {
	b, err := rtcp.Marshal(packets)
	if err != nil {
		return err
	}
	return s.WriteRaw(b)
}

// WriteRaw is WriteRTCP of packets that are written already.
func (s *Session) WriteRaw(b []byte) error {
	s.out.Lock()
	defer s.out.Unlock()
	p := s.path.Load()
	if s.out.context == nil || p == nil {
		return errNoKeys
	}
	encrypted, err := s.out.context.EncryptRTCP(s.out.buffer[:0], b, nil)
	if err != nil {
		return err
	}
	s.out.buffer = encrypted
	return p.socket.send(encrypted, p.to)
}

// write sends a DTLS record to an address of the client.
func (s *Session) write(b []byte) error {
	p := s.path.Load()
	if p == nil {
		return errNoKeys
	}
	return p.socket.send(b, p.to)
}
