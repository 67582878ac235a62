package swarm

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
	"golang.org/x/net/ipv4"

	"github.com/live777/recorder/internal/testkit/load"
)

const (
	maxPacket      = 1500
	connectTimeout = 15 * time.Second
	maxRecords     = 64 // of DTLS that wait
)

// stream is one publisher.
type stream struct {
	url      string
	whip     *load.WHIPClient
	conn     *net.UDPConn
	local    netip.AddrPort
	batch    *ipv4.PacketConn
	remote   answer
	to       *net.UDPAddr
	ufrag    string
	password string
	tracks   [2]*track // audio, video
	twcc     uint16

	agreed  chan struct{} // closed when remote is known; the reader then answers and decrypts
	records handshakeConn // of DTLS, from the reader
	checked chan struct{} // an ICE check of ours was answered; capacity 1
	dtls    *dtls.Conn
	out     *srtp.Context
	in      atomic.Pointer[srtp.Context]
	nacks   atomic.Int64 // packets that the server asked for again

	// Of sender.
	header   []byte
	packets  [][]byte // encrypted; their memory is used again
	messages []ipv4.Message
}

func newStream(url, token string, m *Media) (*stream, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a socket: %w", err), conn.Close())
	}
	s := &stream{
		url: url, whip: load.NewWHIPClient(token), conn: conn, local: local, batch: ipv4.NewPacketConn(conn), ufrag: random(4), password: random(16),
		agreed: make(chan struct{}), checked: make(chan struct{}, 1),
	}
	s.records = handshakeConn{packetio.NewBuffer(), s}
	s.records.SetLimitCount(maxRecords)
	s.tracks = [2]*track{newTrack(m.audio, audioType), newTrack(m.video, videoType)}
	return s, nil
}

// random returns n random bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// connect makes the session: WHIP, ICE, DTLS.
func (s *stream) connect(ctx context.Context, certificate tls.Certificate) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	text, err := s.whip.Post(ctx, s.url, s.offer(certificate.Certificate[0]))
	if err != nil {
		return fmt.Errorf("publish to %s: %w", s.url, err)
	}
	if s.remote, err = parseAnswer(text); err != nil {
		return fmt.Errorf("publish to %s: %w", s.url, err)
	}
	s.to = net.UDPAddrFromAddrPort(s.remote.address)
	close(s.agreed)
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("connect to %s: %w", s.remote.address, err)
	}
	if err := s.handshake(ctx, certificate); err != nil {
		return fmt.Errorf("DTLS with %s: %w", s.remote.address, err)
	}
	return nil
}

// handshake makes the keys of SRTP.
func (s *stream) handshake(ctx context.Context, certificate tls.Certificate) error {
	shared := []dtls.Option{
		dtls.WithCertificates(certificate), dtls.WithInsecureSkipVerify(true),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
	}
	var err error
	if s.remote.active {
		options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, o := range shared {
			options = append(options, o)
		}
		s.dtls, err = dtls.ServerWithOptions(s.records, s.to, options...)
	} else {
		options := make([]dtls.ClientOption, len(shared))
		for i, o := range shared {
			options[i] = o
		}
		s.dtls, err = dtls.ClientWithOptions(s.records, s.to, options...)
	}
	if err != nil {
		return err
	}
	if err := s.dtls.HandshakeContext(ctx); err != nil {
		return err
	}
	return s.keys()
}

// keys makes the SRTP contexts of both directions (RFC 5764 4.2).
func (s *stream) keys() error {
	state, ok := s.dtls.ConnectionState()
	profile, chosen := s.dtls.SelectedSRTPProtectionProfile()
	if !ok || !chosen {
		return errors.New("the handshake chose no profile of SRTP")
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(&state, !s.remote.active); err != nil {
		return err
	}
	out, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
	if err != nil {
		return err
	}
	in, err := srtp.CreateContext(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt, c.Profile)
	if err != nil {
		return err
	}
	s.out = out
	s.in.Store(in)
	return nil
}

// read takes what the server sends until the socket is closed.
func (s *stream) read() {
	buf := make([]byte, maxPacket)
	for {
		n, _, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			continue // of a port that is closed for a moment
		}
		select {
		case <-s.agreed:
		default:
			continue // nothing can be checked yet, and it comes again
		}
		switch p := buf[:n]; { // RFC 7983 7
		case p[0] < 4:
			s.stun(p)
		case p[0] >= 20 && p[0] < 64:
			_, _ = s.records.Write(p) // what does not fit is sent again
		case p[0] >= 128 && p[0] < 192:
			s.feedback(p)
		}
	}
}

// feedback counts what the server asks for again.
func (s *stream) feedback(p []byte) {
	in := s.in.Load()
	if in == nil {
		return
	}
	plain, err := in.DecryptRTCP(nil, p, nil)
	if err != nil {
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	for _, packet := range packets {
		if nack, ok := packet.(*rtcp.TransportLayerNack); ok {
			for _, pair := range nack.Nacks {
				s.nacks.Add(int64(len(pair.PacketList())))
			}
		}
	}
}

// close ends the session.
func (s *stream) close(ctx context.Context) error {
	var errs []error
	if err := s.whip.Delete(ctx); err != nil {
		errs = append(errs, fmt.Errorf("leave %s: %w", s.url, err))
	}
	s.whip.Close()
	if s.dtls != nil {
		_ = s.dtls.Close() // the server may be gone
	}
	return errors.Join(append(errs, s.conn.Close(), s.records.Close())...)
}

// handshakeConn is the stream's socket as DTLS sees it: only DTLS records come.
type handshakeConn struct {
	*packetio.Buffer // the records
	s                *stream
}

// ReadFrom implements net.PacketConn.
func (c handshakeConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.s.to, err
}

// WriteTo implements net.PacketConn.
func (c handshakeConn) WriteTo(p []byte, to net.Addr) (int, error) { return c.s.conn.WriteTo(p, to) }

// LocalAddr implements net.PacketConn.
func (c handshakeConn) LocalAddr() net.Addr { return c.s.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (c handshakeConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: a UDP socket does not wait.
func (c handshakeConn) SetWriteDeadline(time.Time) error { return nil }
