package receive

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/fingerprint"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/deadline"
)

// maxRecords bounds the DTLS datagrams of a client that wait to be read.
const maxRecords = 32

// Fingerprint is what a=fingerprint says of a certificate.
type Fingerprint struct{ Algorithm, Value string }

// Check returns an error for a hash that is not known.
func (f Fingerprint) Check() error {
	_, err := fingerprint.HashFromString(f.Algorithm)
	return err
}

// recordConn carries the DTLS records of a session. It is a net.PacketConn.
type recordConn struct {
	s        *Session
	records  chan []byte
	deadline *deadline.Deadline
	once     sync.Once
	closed   chan struct{}
}

func newRecordConn(s *Session) *recordConn {
	return &recordConn{s: s, records: make(chan []byte, maxRecords), deadline: deadline.New(), closed: make(chan struct{})}
}

// push gives a datagram to the reader. It is dropped if too many wait: it comes again.
func (c *recordConn) push(b []byte) {
	if len(c.records) == cap(c.records) {
		return
	}
	select {
	case c.records <- append([]byte(nil), b...):
	default:
	}
}

// ReadFrom implements net.PacketConn.
func (c *recordConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case r := <-c.records:
		return copy(b, r), c.RemoteAddr(), nil
	case <-c.deadline.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn.
func (c *recordConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	if err := c.s.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (c *recordConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *recordConn) LocalAddr() net.Addr {
	if p := c.s.path.Load(); p != nil {
		return p.socket.conn.LocalAddr()
	}
	return &net.UDPAddr{}
}

// RemoteAddr returns the client's address.
func (c *recordConn) RemoteAddr() net.Addr {
	if p := c.s.path.Load(); p != nil {
		return net.UDPAddrFromAddrPort(p.to)
	}
	return &net.UDPAddr{}
}

// SetDeadline implements net.PacketConn.
func (c *recordConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *recordConn) SetReadDeadline(t time.Time) error {
	c.deadline.Set(t)
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (c *recordConn) SetWriteDeadline(time.Time) error { return nil }

// connect makes the handshake, and waits for the end of the connection.
func (s *Session) connect() {
	s.become(Connecting)
	conn, err := s.handshake()
	if err != nil {
		s.r.o.Logger.Debug("DTLS handshake failed", "error", err)
		s.become(Failed)
		return
	}
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	if err := s.start(conn); err != nil {
		s.r.o.Logger.Debug("SRTP did not start", "error", err)
		s.become(Failed)
		return
	}
	b := make([]byte, maxPacket)
	for err == nil {
		_, err = conn.Read(b) // no data channel: nothing is made of it
	}
	if !s.hungUp.Load() {
		s.become(Closed)
	}
}

// handshake makes the DTLS connection.
func (s *Session) handshake() (*dtls.Conn, error) {
	shared := []dtls.Option{
		dtls.WithCertificates(s.r.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithInsecureSkipVerify(true), // the fingerprint is verified instead
		dtls.WithVerifyPeerCertificate(s.verify),
		dtls.WithLoggerFactory(s.r.o.Logs),
	}
	var conn *dtls.Conn
	var err error
	if s.o.Client {
		var options []dtls.ClientOption
		for _, o := range shared {
			options = append(options, o)
		}
		conn, err = dtls.ClientWithOptions(s.records, s.records.RemoteAddr(), options...)
	} else {
		options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, o := range shared {
			options = append(options, o)
		}
		conn, err = dtls.ServerWithOptions(s.records, s.records.RemoteAddr(), options...)
	}
	if err != nil {
		return nil, err
	}
	if err := conn.HandshakeContext(s.ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// verify compares the client's certificate with its offer (RFC 8122 section 6.2).
func (s *Session) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return errors.New("the client has no certificate")
	}
	certificate, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return fmt.Errorf("read the client's certificate: %w", err)
	}
	for _, f := range s.o.Fingerprints {
		hash, err := fingerprint.HashFromString(f.Algorithm)
		if err != nil {
			continue
		}
		if value, err := fingerprint.Fingerprint(certificate, hash); err == nil && strings.EqualFold(value, f.Value) {
			return nil
		}
	}
	return errors.New("the client's certificate is not that of its offer")
}

// start takes the keys of a connection.
func (s *Session) start(conn *dtls.Conn) error {
	selected, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("the client has no SRTP profile in common with the node")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("the handshake has no result")
	}
	config := &srtp.Config{Profile: srtp.ProtectionProfile(selected)} // both are numbers of the same registry
	if err := config.ExtractSessionKeysFromDTLS(&state, s.o.Client); err != nil {
		return fmt.Errorf("export keys: %w", err)
	}
	k := &config.Keys
	in, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, config.Profile,
		srtp.SRTPReplayProtection(s.r.o.Replay), srtp.SRTCPReplayProtection(controlReplay))
	if err != nil {
		return err
	}
	out, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, config.Profile)
	if err != nil {
		return err
	}
	s.install(in, out, s.r.o.Now())
	return nil
}

// newCertificate makes the node's certificate, of which clients look at the fingerprint
// alone.
func newCertificate() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("make a certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("read the certificate: %w", err)
	}
	hash, err := fingerprint.HashFromString("sha-256")
	if err != nil {
		return tls.Certificate{}, "", err
	}
	value, err := fingerprint.Fingerprint(certificate, hash)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, "sha-256 " + strings.ToUpper(value), nil
}
