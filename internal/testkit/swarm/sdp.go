package swarm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// twccID is the header extension that numbers the packets of all tracks.
const twccID = 3

// offer writes the SDP of a publisher of H264 and Opus. Every server that takes browsers
// takes it.
func (s *stream) offer(certificate []byte) string {
	digest := sha256.Sum256(certificate)
	fingerprint := make([]string, len(digest))
	for i, b := range digest {
		fingerprint[i] = fmt.Sprintf("%02X", b)
	}
	local := s.local
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0\r\no=- %d 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS *", s.tracks[0].ssrc)
	for i, t := range s.tracks {
		kind, codec := "audio", "opus/48000/2"
		if t.payloadType == videoType {
			kind, codec = "video", "H264/90000"
		}
		line("m=%s 9 UDP/TLS/RTP/SAVPF %d", kind, t.payloadType)
		line("c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:%s\r\na=ice-pwd:%s", s.ufrag, s.password)
		line("a=fingerprint:sha-256 %s\r\na=setup:actpass\r\na=mid:%d", strings.Join(fingerprint, ":"), i)
		line("a=extmap:%d http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", twccID)
		line("a=sendonly\r\na=msid:swarm %s\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:%d %s", kind, t.payloadType, codec)
		line("a=rtcp-fb:%d transport-cc\r\na=rtcp-fb:%[1]d nack", t.payloadType)
		if kind == "video" {
			line("a=rtcp-fb:%d nack pli", t.payloadType)
			line("a=fmtp:%d level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", t.payloadType)
		} else {
			line("a=fmtp:%d minptime=10;useinbandfec=1;stereo=1", t.payloadType)
		}
		line("a=ssrc:%d cname:swarm\r\na=ssrc:%[1]d msid:swarm %s", t.ssrc, kind)
		line("a=candidate:1 1 udp 2130706431 %s %d typ host\r\na=end-of-candidates", local.Addr(), local.Port())
	}
	return b.String()
}

// answer is what a publisher has to know of a server's SDP.
type answer struct {
	ufrag, password string
	active          bool // the server begins DTLS
	address         netip.AddrPort
}

// parseAnswer reads an answer, of which it takes the first IPv4 candidate for UDP,
// a loopback one if there is one.
func parseAnswer(text string) (answer, error) {
	var a answer
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "a=ice-ufrag":
			a.ufrag = value
		case "a=ice-pwd":
			a.password = value
		case "a=setup":
			a.active = value == "active"
		case "a=candidate":
			a.candidate(strings.Fields(value))
		}
	}
	if a.ufrag == "" || a.password == "" || !a.address.IsValid() {
		return a, errors.New("the answer has no ICE credentials, or no candidate for UDP over IPv4")
	}
	return a, nil
}

// candidate takes the address of a candidate: foundation, component, transport,
// priority, address, port (RFC 8839 5.1).
func (a *answer) candidate(fields []string) {
	if len(fields) < 6 || !strings.EqualFold(fields[2], "udp") || fields[1] != "1" {
		return
	}
	address, err := netip.ParseAddrPort(fields[4] + ":" + fields[5])
	if err == nil && address.Addr().Is4() && (!a.address.IsValid() || !a.address.Addr().IsLoopback()) {
		a.address = address
	}
}
