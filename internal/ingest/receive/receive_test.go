package receive

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// patience bounds every wait of a test.
const patience = time.Minute

var remote = Credentials{Ufrag: "abcd", Password: "0123456789012345678901"}

// recorder is a Handler that keeps what it is told.
type recorder struct {
	mu     sync.Mutex
	seqs   []uint16
	bytes  int
	states []State
	lost   []Loss
	tooBig []Limit
	moved  []netip.AddrPort
	checks int
}

func (r *recorder) TakeRTP(packets []Packet, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range packets {
		r.seqs = append(r.seqs, packets[i].Header.SequenceNumber)
		r.bytes += len(packets[i].Payload)
	}
}
func (r *recorder) TakeRTCP(uint32, []byte, time.Time) {}
func (r *recorder) Checked(time.Time)                  { r.note(func() { r.checks++ }) }
func (r *recorder) Moved(_, now netip.AddrPort)        { r.note(func() { r.moved = append(r.moved, now) }) }
func (r *recorder) StateChanged(s State)               { r.note(func() { r.states = append(r.states, s) }) }
func (r *recorder) Lost(l Loss)                        { r.note(func() { r.lost = append(r.lost, l) }) }
func (r *recorder) TooMany(l Limit)                    { r.note(func() { r.tooBig = append(r.tooBig, l) }) }

func (r *recorder) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// has reports what ok says of the recorder.
func (r *recorder) has(ok func() bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ok()
}

// harness is a receiver with one socket.
type harness struct {
	t        testing.TB
	r        *Receiver
	socket   *Socket
	to       *net.UDPAddr
	received chan []byte // of Rest
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	r, err := New(Options{Replay: 1024, Logger: slog.New(slog.DiscardHandler), Logs: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Open(conn, SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, r: r, socket: s, to: conn.LocalAddr().(*net.UDPAddr), received: make(chan []byte, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, maxPacket); ; {
			n, _, err := s.Rest().ReadFromAddrPort(b)
			if err != nil {
				return
			}
			h.received <- slices.Clone(b[:n])
		}
	}()
	t.Cleanup(func() {
		_ = s.Rest().Close()
		<-done
		r.Close()
	})
	return h
}

func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.Writer = io.Discard
	return f
}

// client is a socket of a publisher.
type client struct {
	h    *harness
	conn *net.UDPConn
	out  *srtp.Context
	seq  uint16
}

func (h *harness) client() *client {
	h.t.Helper()
	conn, err := net.DialUDP("udp4", nil, h.to)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return &client{h: h, conn: conn}
}

func (c *client) send(b []byte) {
	c.h.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.h.t.Fatal(err)
	}
}

// check sends a connectivity check and returns the answer; nil if there is none until
// another one of the node is answered.
func (c *client) check(local Credentials, setters ...stun.Setter) *stun.Message {
	c.h.t.Helper()
	c.send(request(c.h.t, local, setters...))
	return c.answer()
}

func (c *client) answer() *stun.Message {
	c.h.t.Helper()
	b := make([]byte, maxPacket)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := c.conn.Read(b)
	if err != nil {
		c.h.t.Fatal(err)
	}
	m := &stun.Message{Raw: b[:n]}
	if err := m.Decode(); err != nil {
		c.h.t.Fatal(err)
	}
	return m
}

func request(t testing.TB, local Credentials, setters ...stun.Setter) []byte {
	t.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(local.Ufrag + ":" + remote.Ufrag)}, setters...)
	m, err := stun.Build(append(all, stun.NewShortTermIntegrity(local.Password), stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// useCandidate is the attribute of that name.
var useCandidate = stun.RawAttribute{Type: stun.AttrUseCandidate}

// Session makes a session.
func (h *harness) session(r *recorder) *Session {
	s := h.r.Session(SessionOptions{Remote: remote, Handler: r})
	h.t.Cleanup(s.Close)
	return s
}

// keys gives a session and a client keys in common, as a handshake would.
func (h *harness) keys(s *Session, c *client) {
	h.t.Helper()
	key, salt := make([]byte, 16), make([]byte, 12)
	contexts := make([]*srtp.Context, 3)
	for i := range contexts {
		var err error
		contexts[i], err = srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTPReplayProtection(1024))
		if err != nil {
			h.t.Fatal(err)
		}
	}
	c.out = contexts[2]
	s.install(contexts[0], contexts[1], h.r.o.Now())
}

// packet makes the next packet of a client.
func (c *client) packet(size int) []byte {
	c.h.t.Helper()
	c.seq++
	p := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7, SequenceNumber: c.seq, PayloadType: 96}, Payload: make([]byte, size)}
	b, err := p.Marshal()
	if err == nil {
		b, err = c.out.EncryptRTP(nil, b, nil)
	}
	if err != nil {
		c.h.t.Fatal(err)
	}
	return b
}

// TestChecks: connectivity checks are answered as RFC 8445 section 7.3 says, and those
// with a wrong password or name are not.
func TestChecks(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	c := h.client()
	wrong := s.Local()
	wrong.Password = wrong.Password[1:] + "x"
	c.send(request(t, wrong, useCandidate))
	stranger := s.Local()
	c.send(append([]byte(nil), request(t, Credentials{stranger.Ufrag, stranger.Password}, useCandidate)[:24]...))
	m := c.check(s.Local())
	if m.Type != stun.BindingSuccess || stun.NewShortTermIntegrity(s.Local().Password).Check(m) != nil || stun.Fingerprint.Check(m) != nil {
		t.Errorf("answer %v", m)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(m); err != nil || mapped.String() != c.conn.LocalAddr().String() {
		t.Errorf("mapped address %v, %v; want %v", mapped, err, c.conn.LocalAddr())
	}
	if s.IsUp() || rec.has(func() bool { return rec.checks != 1 }) {
		t.Errorf("up %v without a nomination, %d checks, want 1", s.IsUp(), rec.checks)
	}
	if m := c.check(s.Local(), useCandidate); m.Type != stun.BindingSuccess || !s.IsUp() {
		t.Errorf("nomination: answer %v, up %v", m, s.IsUp())
	}
	if m := c.check(s.Local(), stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)}); m.Type != stun.BindingError {
		t.Errorf("role conflict: answer %v", m)
	}
}

// TestRestart: the credentials before a restart are good until the new ones are used.
func TestRestart(t *testing.T) {
	h := newHarness(t)
	s := h.session(new(recorder))
	c := h.client()
	before := s.Local()
	after := s.Restart(remote)
	c.check(before)
	c.check(after)
	if s.credentialsOf(before.Ufrag+":"+remote.Ufrag) != nil || h.r.now.Load().names[before.Ufrag] != nil {
		t.Error("the credentials before are still good")
	}
	s.Close()
	if n := h.r.now.Load(); len(n.names)+len(n.addresses)+len(n.sources) != 0 {
		t.Errorf("%+v is left of a session that has ended", n)
	}
}

// TestRest: what belongs to no session goes to others, whatever it is.
func TestRest(t *testing.T) {
	h := newHarness(t)
	c := h.client()
	packets := [][]byte{request(t, Credentials{"unknown", "0123456789012345678901"}), {0x80, 96, 3}, {22, 1, 2, 3}, {255}, make([]byte, 20)}
	for _, b := range packets {
		c.send(b)
		if got := <-h.received; !slices.Equal(got, b) {
			t.Errorf("got %x, want %x", got, b)
		}
	}
}

// TestMedia: packets are handed on decrypted, those that came before the keys too, and
// what was damaged, repeated or invented costs none of the others.
func TestMedia(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	c := h.client()
	c.check(s.Local())
	other := &client{h: h, conn: c.conn}
	h.keys(&Session{r: h.r, o: SessionOptions{Handler: new(recorder)}}, other) // for its context
	c.out = other.out
	early := c.packet(10)
	c.send(early)
	await.Until(t, "the early packet waits", func() bool {
		s.in.Lock()
		defer s.in.Unlock()
		return len(s.rtp.early) == 1
	})
	seq := c.seq
	h.keys(s, &client{h: h})
	c.seq = seq
	damaged := c.packet(100)
	damaged[20] ^= 1
	good := c.packet(100)
	for _, b := range [][]byte{damaged, good, good, early, {0x80, 200, 0, 1}, {0x80, 96, 0, 0}, c.packet(0), c.packet(1300)} {
		c.send(b)
	}
	await.Until(t, "all have come", func() bool { return rec.has(func() bool { return len(rec.seqs) == 4 }) })
	if want := []uint16{1, 3, 4, 5}; !slices.Equal(rec.seqs, want) || rec.bytes != 10+100+1300 {
		t.Errorf("packets %v with %d bytes, want %v", rec.seqs, rec.bytes, want)
	}
	if want := []Loss{Undecrypted, Malformed, Malformed}; !slices.Equal(rec.lost, want) {
		t.Errorf("lost %v, want %v", rec.lost, want)
	}
}

// TestAnotherAddress: packets that can be decrypted move a session to their address, and
// others do not.
func TestAnotherAddress(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	c := h.client()
	c.check(s.Local())
	p := path{h.socket, addrPort(c.conn)}
	s.path.Store(&p)
	h.keys(s, c)
	s.Source(7)
	moved, stranger := h.client(), h.client()
	stranger.send(append([]byte{0x80, 96, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7}, make([]byte, 50)...))
	moved.send(c.packet(5))
	await.Until(t, "the packet is taken", func() bool { return rec.has(func() bool { return len(rec.seqs) == 1 }) })
	if want := addrPort(moved.conn); s.path.Load().to != want || len(rec.moved) != 1 || rec.moved[0] != want || len(rec.lost) > 0 {
		t.Errorf("the session is at %v, moved %v, lost %v", s.path.Load().to, rec.moved, rec.lost)
	}
	if err := s.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}}); err != nil {
		t.Fatal(err)
	}
	_ = moved.conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := moved.conn.Read(make([]byte, 100)); err != nil || n < 12 {
		t.Errorf("%d bytes of RTCP at the new address, %v", n, err)
	}
}

func addrPort(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// TestSilence: a client that is not heard any more is told of, and when it is back.
func TestSilence(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	h.keys(s, &client{h: h})
	began := h.r.began
	s.hear(began)
	s.tend(began.Add(disconnectedAfter + 1))
	s.hear(began.Add(disconnectedAfter + 1))
	s.tend(began.Add(disconnectedAfter + 2))
	s.tend(began.Add(disconnectedAfter + failedAfter + 2))
	s.tend(began.Add(time.Hour))
	if want := []State{Connected, Disconnected, Connected, Failed}; !slices.Equal(rec.states, want) {
		t.Errorf("states %v, want %v", rec.states, want)
	}
}

// TestHeard: what anybody could have sent does not count as a sign of the client.
func TestHeard(t *testing.T) {
	h := newHarness(t)
	s := h.session(new(recorder))
	c := h.client()
	h.keys(s, c)
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	s.learn(from)
	silent := func() time.Duration { return time.Duration(s.heard.Load()) }
	garbage := append([]byte{0x80, 96, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7}, make([]byte, 50)...)
	damaged := c.packet(50)
	damaged[30] ^= 1
	media := c.packet(50)
	keepAlive := func(setters ...stun.Setter) []byte {
		m, err := stun.Build(append([]stun.Setter{stun.TransactionID, keepAlive}, setters...)...)
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	wrong := request(t, Credentials{s.Local().Ufrag, "0123456789012345678901"})
	for i, k := range []struct {
		name  string
		b     []byte
		heard bool
	}{
		{"garbage", garbage, false},
		{"damaged media", damaged, false},
		{"media", media, true},
		{"the same again", media, false},
		{"DTLS", []byte{22, 254, 253, 0}, false},
		{"a check with a wrong password", wrong, false},
		{"a keep-alive without a fingerprint", keepAlive(), false},
		{"a keep-alive", keepAlive(stun.Fingerprint), true},
	} {
		before, at := silent(), h.r.began.Add(time.Duration(i+1)*time.Second)
		h.socket.sort(h.r.now.Load(), s, k.b, from, at)
		for j := range h.socket.groups {
			g := &h.socket.groups[j]
			g.s.take(g.packets, g.from, at)
		}
		h.socket.groups = h.socket.groups[:0]
		if heard := silent() != before; heard != k.heard {
			t.Errorf("%s: heard %v, want %v", k.name, heard, k.heard)
		}
	}
}

// TestRestIsBounded: what the WebRTC stack does not read is dropped, and counted.
func TestRestIsBounded(t *testing.T) {
	r := newRest(&Socket{r: &Receiver{o: Options{Logger: slog.New(slog.DiscardHandler)}}})
	for range maxRest + 3 {
		r.push([]byte{1}, netip.AddrPort{}, time.Now())
	}
	if n := r.Dropped(); n != 3 || len(r.packets) != maxRest {
		t.Errorf("%d dropped and %d waiting, want 3 and %d", n, len(r.packets), maxRest)
	}
}

// TestManyAddresses: a client may have many addresses, but not any number.
func TestManyAddresses(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	c := s.credentials[0]
	for i := range uint16(maxAddresses + 1) {
		s.checked(false, c, path{h.socket, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), i+1)}, h.r.began)
	}
	if want := []Limit{Addresses}; !slices.Equal(rec.tooBig, want) || len(h.r.now.Load().addresses) != maxAddresses {
		t.Errorf("limits %v, %d addresses", rec.tooBig, len(h.r.now.Load().addresses))
	}
}

// TestFloods: garbage, checks with a wrong password, DTLS, media of nobody and packets that
// have come before cost a session no packet, and what waits of them is bounded.
func TestFloods(t *testing.T) {
	h := newHarness(t)
	rec := new(recorder)
	s := h.session(rec)
	c, stranger := h.client(), h.client()
	c.check(s.Local())
	h.keys(s, c)
	wrong := Credentials{s.Local().Ufrag, "0123456789012345678901"}
	dtls := make([]byte, 200)
	dtls[0] = 22
	const packets = 300
	for i := range packets {
		media := c.packet(200)
		c.send(media)
		c.send(media)
		c.send(dtls)
		stranger.send(request(t, wrong, useCandidate))
		stranger.send(append([]byte{0x80, 96, 0, byte(i), 0, 0, 0, 0, 0, 0, 0, 9}, make([]byte, 50)...))
		stranger.send(dtls)
		stranger.send([]byte{0, 1, 0, 8})
		if i%10 == 9 { // the kernel's buffer is finite
			await.Until(t, "media", func() bool { return rec.has(func() bool { return len(rec.seqs) == i+1 }) })
		}
	}
	if rec.has(func() bool { return len(rec.lost) > 0 || rec.checks != 1 || len(rec.moved) > 0 }) {
		t.Errorf("lost %v, %d checks, moved %v", rec.lost, rec.checks, rec.moved)
	}
	if n := len(s.records.records); n != maxRecords {
		t.Errorf("%d DTLS datagrams wait, want %d", n, maxRecords)
	}
}

// discard is a Handler that does nothing.
type discard struct{ packets int }

func (d *discard) TakeRTP(p []Packet, _ time.Time)      { d.packets += len(p) }
func (d *discard) TakeRTCP(uint32, []byte, time.Time)   {}
func (d *discard) Checked(time.Time)                    {}
func (d *discard) Moved(netip.AddrPort, netip.AddrPort) {}
func (d *discard) StateChanged(State)                   {}
func (d *discard) Lost(Loss)                            {}
func (d *discard) TooMany(Limit)                        {}

// TestAllocations: in steady state a packet costs no allocation but its share of a slab.
func TestAllocations(t *testing.T) {
	h := newHarness(t)
	rec := new(discard)
	s := h.r.Session(SessionOptions{Remote: remote, Handler: rec})
	t.Cleanup(s.Close)
	c := h.client()
	h.keys(s, c)
	const runs, size = 50, 32
	var batches [][][]byte
	for range runs + 2 {
		var batch [][]byte
		for range size {
			batch = append(batch, c.packet(1100))
		}
		batches = append(batches, batch)
	}
	at, i := h.r.began, 0
	allocs := testing.AllocsPerRun(runs, func() {
		s.take(batches[i], netip.AddrPort{}, at)
		i++
	})
	if perPacket := allocs / size; perPacket > 0.03 || rec.packets != size*(runs+1) {
		t.Errorf("%.3f allocations a packet, %d packets", perPacket, rec.packets)
	}
}

// FuzzSocket: whatever comes to a socket, nothing breaks.
func FuzzSocket(f *testing.F) {
	h := newHarness(f)
	s := h.session(new(recorder))
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	stranger := netip.MustParseAddrPort("192.0.2.2:5000")
	s.learn(from)
	s.Source(7)
	p := path{h.socket, from}
	s.path.Store(&p)
	h.keys(s, &client{h: h})
	f.Add(request(f, s.Local(), useCandidate))
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0xbe, 0xde, 0xff, 0xff})
	f.Add([]byte{0x81, 200, 0, 1, 0, 0, 0, 7})
	f.Add([]byte{22, 254, 253, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		t := h.r.now.Load()
		for _, a := range []netip.AddrPort{from, stranger} {
			h.socket.sort(t, t.addresses[a], b, a, h.r.began)
		}
		for i := range h.socket.groups {
			g := &h.socket.groups[i]
			g.s.take(g.packets, g.from, h.r.began)
		}
		h.socket.groups = h.socket.groups[:0]
		for len(h.received) > 0 {
			<-h.received
		}
	})
}
