package whip

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/logging/logtest"
)

// machine lists made-up addresses.
func machine(addrs ...localAddr) addressLister {
	return func() ([]localAddr, error) { return addrs, nil }
}

func at(addr string, loopback bool) localAddr {
	return localAddr{prefix: netip.MustParsePrefix(addr), loopback: loopback}
}

// boundTo makes a client have one address alone, and pair no other.
func boundTo(t *testing.T, ip string) func(*webrtc.SettingEngine) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", ip+":0") //nolint:noctx // a local socket
	if err != nil {
		t.Fatal(err)
	}
	mux := webrtc.NewICEUDPMux(nil, conn)
	t.Cleanup(func() { _ = mux.Close() })
	return func(se *webrtc.SettingEngine) {
		se.SetICEUDPMux(mux)
		se.SetRemoteIPFilter(func(remote net.IP) bool { return remote.String() == ip })
	}
}

// TestClientsWithoutLoopback: a client that pairs no loopback candidate, as Firefox
// and libnice, reaches a node on loopback at another address of its machine.
func TestClientsWithoutLoopback(t *testing.T) {
	n := newNode(t, Options{addresses: machine(at("127.0.0.9/32", false))})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{opus}, settings: boundTo(t, "127.0.0.9")})
	p.send(opus, "audio")
	p.connect("/whip/cam")
	for _, ip := range []string{"127.0.0.1", "127.0.0.9"} {
		if !strings.Contains(p.answer, " "+ip+" "+n.port()+" typ host") {
			t.Errorf("%s is not offered:\n%s", ip, p.answer)
		}
	}
}

// TestMediaFromElsewhereAreRefused: the sockets that stand beside a loopback one take
// nothing from other machines.
func TestMediaFromElsewhereAreRefused(t *testing.T) {
	log := new(logtest.Buffer)
	n := newNode(t, Options{
		addresses: machine(at("127.0.0.9/32", false)),
		Logger:    slog.New(slog.NewTextHandler(log, nil)),
	})
	to := net.UDPAddrFromAddrPort(n.whip.Media().Extra[0])
	own, other := dialFrom(t, "127.0.0.9", to), dialFrom(t, "127.0.0.8", to)
	ask := stunRequest(t, n)
	for range 3 {
		if _, err := other.Write(ask); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := own.Write(ask); err != nil { // after the others: answered once they were read
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	_ = own.SetReadDeadline(time.Now().Add(patience))
	if _, err := own.Read(buf); err != nil {
		t.Fatalf("this machine's own address: %v", err)
	}
	_ = other.SetReadDeadline(time.Now())
	if n, err := other.Read(buf); err == nil {
		t.Errorf("another machine was answered with %d bytes", n)
	}
	if c := strings.Count(log.String(), "are refused: set webrtc.listen"); c != 1 {
		t.Errorf("%d log lines that say what to set, want 1:\n%s", c, log)
	}
}

func TestSelectLocal(t *testing.T) {
	var got []string
	for _, a := range selectLocal([]localAddr{
		at("127.0.0.1/8", true), at("fe80::1/64", false), at("192.0.2.1/24", false), at("fd00::1/64", false),
		at("169.254.0.1/16", false), at("192.0.2.1/24", false), at("192.0.2.2/24", false), at("192.0.2.3/24", false),
		at("192.0.2.4/24", false), at("192.0.2.5/24", false), at("::1/128", true),
	}) {
		got = append(got, a.String())
	}
	if want := "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 fd00::1"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %s", got, want)
	}
}

// TestNetworkThatComesLater: addresses that the machine gets while the node runs are
// offered, and those that it loses no more.
func TestNetworkThatComesLater(t *testing.T) {
	var addrs []localAddr
	n := newNode(t, Options{addresses: func() ([]localAddr, error) { return addrs, nil }})
	if m := n.whip.Media(); m.Lacks() == "" || !strings.Contains(m.String(), "about:config") {
		t.Errorf("without another address: %s", m)
	}
	offered := func() bool {
		res, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
		n.do(http.MethodDelete, res.Header.Get("Location"), "", "")
		return strings.Contains(answer, " 127.0.0.9 ")
	}
	for _, there := range []bool{false, true, false, true} {
		addrs = nil
		if there {
			addrs = []localAddr{at("127.0.0.9/32", false)}
		}
		if got := offered(); got != there {
			t.Errorf("address there %v: offered %v", there, got)
		}
	}
}

// TestWhyNot: a client that does not connect leaves words about what to do.
func TestWhyNot(t *testing.T) {
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"no other address": {Options{addresses: machine()}, "about:config"},
		"this machine":     {Options{addresses: machine(at("127.0.0.9/32", false))}, "webrtc.listen"},
		"everywhere":       {Options{Listen: "0.0.0.0:0"}, "webrtc.public_ips"},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(logtest.Buffer)
			tt.o.Logger = slog.New(slog.NewTextHandler(log, nil))
			n := newNode(t, tt.o)
			res, _ := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
			n.do(http.MethodDelete, res.Header.Get("Location"), "", "")
			if !strings.Contains(log.String(), "did not connect") || !strings.Contains(log.String(), tt.want) {
				t.Errorf("the log lacks %s:\n%s", tt.want, log)
			}
		})
	}
}

// dialFrom returns a socket with an address of its own.
func dialFrom(t *testing.T, ip string, to *net.UDPAddr) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stunRequest publishes, and returns a connectivity check that the node answers.
func stunRequest(t *testing.T, n *node) []byte {
	t.Helper()
	_, answer := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
	value := func(key string) string {
		_, v, _ := strings.Cut(answer, "a="+key+":")
		v, _, _ = strings.Cut(v, "\r\n")
		return v
	}
	msg, err := stun.Build(stun.BindingRequest, stun.TransactionID,
		stun.NewUsername(value("ice-ufrag")+":AbCd"), ice.AttrControlling(1), ice.PriorityAttr(1),
		stun.NewShortTermIntegrity(value("ice-pwd")), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return msg.Raw
}

// TestEndStopsNobodysPackets: the stack sets a deadline on the socket that all sessions send
// by when one of them ends. It keeps nothing from being sent.
func TestEndStopsNobodysPackets(t *testing.T) {
	var ends [2]*net.UDPConn
	for i := range ends {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ends[i] = conn
	}
	socket := pathConn{rawConn{ends[0]}, newPaths()}
	if err := socket.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.WriteTo([]byte("media"), ends[1].LocalAddr()); err != nil {
		t.Errorf("another session's packet: %v", err)
	}
}
