package whip

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/live777/recorder/internal/media"
)

// describe writes the answer of an ICE-lite agent that receives what was chosen.
func (d *direct) describe() *sdp.SessionDescription {
	out := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: d.number, SessionVersion: d.version,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	var mids []string
	for i := range d.cs {
		mids = append(mids, d.cs[i].mid)
	}
	out.Attributes = []sdp.Attribute{
		{Key: "msid-semantic", Value: "WMS *"},
		{Key: "fingerprint", Value: d.server.receiver.Fingerprint()},
		{Key: sdp.AttrKeyICELite},
		{Key: "extmap-allow-mixed"},
		{Key: sdp.AttrKeyGroup, Value: "BUNDLE " + strings.Join(mids, " ")},
		{Key: "ice-options", Value: "trickle"},
	}
	if _, ok := d.offered.Attribute("extmap-allow-mixed"); !ok {
		out.Attributes = slices.Delete(out.Attributes, 3, 4)
	}
	for i := range d.cs {
		m := d.cs[i].describe(d.transportAttributes())
		if i == 0 {
			m.Attributes = append(m.Attributes, d.server.candidates()...)
		}
		out.MediaDescriptions = append(out.MediaDescriptions, m)
	}
	return out
}

// transportAttributes tells what the m-lines have in common.
func (d *direct) transportAttributes() []sdp.Attribute {
	setup, c := "passive", d.transport.Local()
	if d.passive {
		setup = "active"
	}
	return []sdp.Attribute{
		{Key: "setup", Value: setup},
		{Key: "ice-ufrag", Value: c.Ufrag},
		{Key: "ice-pwd", Value: c.Password},
		{Key: sdp.AttrKeyRTCPMux},
	}
}

// describe writes the m-line that answers c.
func (c *chosen) describe(transport []sdp.Attribute) *sdp.MediaDescription {
	pt := strconv.Itoa(int(c.codec.payloadType))
	m := &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: c.kind.String(), Port: sdp.RangedPort{Value: 9}, Protos: []string{"UDP", "TLS", "RTP", "SAVPF"}, Formats: []string{pt},
		},
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
		},
	}
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: sdp.AttrKeyMID, Value: c.mid})
	m.Attributes = append(m.Attributes, transport...)
	if _, ok := c.desc.Attribute(sdp.AttrKeyRTCPRsize); ok {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: sdp.AttrKeyRTCPRsize})
	}
	for _, a := range c.formatAttributes(pt) {
		if a.Key != "rtcp-fb" || c.kind == media.Video || isAudioFeedback(a.Value) {
			m.Attributes = append(m.Attributes, a)
		}
	}
	if c.codec.hasRTX {
		rtx := strconv.Itoa(int(c.codec.rtx))
		m.MediaName.Formats = append(m.MediaName.Formats, rtx)
		m.Attributes = append(m.Attributes, c.rtxAttributes(pt, rtx)...)
	}
	for _, uri := range ingestExtensions {
		if id := c.extension(uri); id != 0 {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "extmap", Value: strconv.Itoa(int(id)) + " " + uri})
		}
	}
	for _, rid := range c.rids {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rid", Value: rid + " recv"})
	}
	if len(c.rids) > 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "simulcast", Value: "recv " + strings.Join(c.rids, ";")})
	}
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: "recvonly"})
	return m
}

// isAudioFeedback tells what of a=rtcp-fb is for sound.
func isAudioFeedback(value string) bool {
	_, name, _ := strings.Cut(value, " ")
	return name == "nack" || name == "transport-cc"
}

// candidates lists where media can be sent, the nearest first.
func (s *Server) candidates() []sdp.Attribute {
	var out []sdp.Attribute
	for i, a := range s.addresses() {
		priority := 126<<24 | (65535-uint32(i))<<8 | 255 // RFC 8445 section 5.1.2.1
		out = append(out, sdp.Attribute{
			Key:   sdp.AttrKeyCandidate,
			Value: fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, priority, a, s.sockets.listen.Port()),
		})
	}
	return append(out, sdp.Attribute{Key: sdp.AttrKeyEndOfCandidates})
}

// addresses lists those of the node that clients are told.
func (s *Server) addresses() []netip.Addr {
	if len(s.o.PublicIPs) > 0 {
		var out []netip.Addr
		for _, ip := range s.o.PublicIPs {
			if a, err := netip.ParseAddr(ip); err == nil {
				out = append(out, a)
			}
		}
		return out
	}
	return s.sockets.reachable()
}
