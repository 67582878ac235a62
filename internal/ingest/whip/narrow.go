package whip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

// has reports whether the client understands a kind of RTCP feedback for c.
func (c *chosen) has(feedback string) bool { return slices.Contains(c.codec.feedback, feedback) }

// The feedback that a PeerConnection may use, as far as the client offers it.
var (
	videoFeedback = []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: "transport-cc"},
	}
	audioFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "transport-cc"}}
)

// mediaEngine registers exactly the chosen formats under the client's payload
// types, so that the answer cannot name any other.
func mediaEngine(cs []chosen, extensions []string) (*webrtc.MediaEngine, error) {
	m := new(webrtc.MediaEngine)
	for _, c := range cs {
		kind, feedback := webrtc.RTPCodecTypeVideo, videoFeedback
		if c.kind == media.Audio {
			kind, feedback = webrtc.RTPCodecTypeAudio, audioFeedback
		}
		capability := c.capability()
		capability.RTCPFeedback = feedback
		err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: capability,
			PayloadType:        webrtc.PayloadType(c.codec.payloadType),
		}, kind)
		if err != nil {
			return nil, fmt.Errorf("register codec %s: %w", c.row.Name, err)
		}
		if c.codec.hasRTX {
			err := m.RegisterCodec(webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{
					MimeType:    c.kind.String() + "/rtx",
					ClockRate:   c.row.ClockRate,
					SDPFmtpLine: "apt=" + strconv.Itoa(int(c.codec.payloadType)),
				},
				PayloadType: webrtc.PayloadType(c.codec.rtx),
			}, kind)
			if err != nil {
				return nil, fmt.Errorf("register retransmission of %s: %w", c.row.Name, err)
			}
		}
		for _, uri := range extensions {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, fmt.Errorf("register header extension: %w", err)
			}
		}
	}
	return m, nil
}

// capability describes the chosen format as it was offered.
func (c *chosen) capability() webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{
		MimeType:    c.kind.String() + "/" + c.row.Name,
		ClockRate:   c.codec.clockRate,
		Channels:    c.codec.channels,
		SDPFmtpLine: c.codec.fmtp,
	}
}

// Header extensions (RFC 8843, RFC 8852 and transport-wide congestion control).
const (
	extensionMID         = sdp.SDESMidURI
	extensionRID         = sdp.SDESRTPStreamIDURI
	extensionRepairedRID = sdp.SDESRepairRTPStreamIDURI
	extensionTWCC        = sdp.TransportCCURI
)

// ingestExtensions are accepted from a publisher. Video orientation is not
// among them: a sender that cannot signal a rotation rotates the pixels.
var ingestExtensions = []string{extensionTWCC, extensionMID, extensionRID, extensionRepairedRID}

// narrowed returns the offer as the PeerConnection shall see it: only the
// chosen format of each m-line and its retransmissions, only the extensions
// that are wanted, no data channels and no candidates (an ICE-lite agent sends
// no checks).
func (o *offer) narrowed(cs []chosen, s side) *sdp.SessionDescription {
	out := *o.desc
	out.Attributes = nil
	for _, a := range o.desc.Attributes {
		if a.Key != sdp.AttrKeyGroup && !slices.Contains(directions, a.Key) && !isCandidate(a.Key) {
			out.Attributes = append(out.Attributes, a)
		}
	}
	var mids []string
	out.MediaDescriptions = nil
	for i := range cs {
		mids = append(mids, cs[i].mid)
		out.MediaDescriptions = append(out.MediaDescriptions, cs[i].narrowed(s, i))
	}
	out.Attributes = append(out.Attributes, sdp.Attribute{Key: sdp.AttrKeyGroup, Value: "BUNDLE " + strings.Join(mids, " ")})
	return &out
}

func isCandidate(key string) bool {
	return key == sdp.AttrKeyCandidate || key == sdp.AttrKeyEndOfCandidates || key == "remote-candidates"
}

func (c *chosen) narrowed(s side, index int) *sdp.MediaDescription {
	m := *c.desc
	pt := strconv.Itoa(int(c.codec.payloadType))
	m.MediaName.Port.Value = 9 // the discard port, also where the client bundles it only
	m.MediaName.Formats = []string{pt}
	m.Attributes = c.formatAttributes(pt)
	for _, a := range c.desc.Attributes {
		if c.keeps(a) && (s != publishing || !namesSources(a.Key)) {
			m.Attributes = append(m.Attributes, a)
		}
	}
	if s == publishing && len(c.rids) == 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: sdp.AttrKeySSRC, Value: strconv.Itoa(index+1) + " cname:none"})
	}
	if c.codec.hasRTX && c.rtxUsable(s) {
		rtx := strconv.Itoa(int(c.codec.rtx))
		m.MediaName.Formats = append(m.MediaName.Formats, rtx)
		m.Attributes = append(m.Attributes, c.rtxAttributes(pt, rtx)...)
	}
	for _, rid := range c.rids {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rid", Value: rid + " send"})
	}
	if len(c.rids) > 0 {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "simulcast", Value: "send " + strings.Join(c.rids, ";")})
	}
	direction := "sendonly"
	if s == viewing {
		direction = "recvonly"
	}
	if c.inactive {
		direction = "inactive"
	}
	m.Attributes = append(m.Attributes, sdp.Attribute{Key: direction})
	return &m
}

// namesSources tells the attributes that name SSRCs. The ingest finds the track of a
// packet itself. The WebRTC stack is told of one SSRC that does not exist: for m-lines
// with none it would add a track for each that comes.
func namesSources(key string) bool {
	return key == sdp.AttrKeySSRC || key == sdp.AttrKeySSRCGroup || key == sdp.AttrKeyMsid
}

func (c *chosen) rtxAttributes(pt, rtx string) []sdp.Attribute {
	return []sdp.Attribute{
		{Key: "rtpmap", Value: rtx + " rtx/" + strconv.Itoa(int(c.codec.clockRate))}, {Key: "fmtp", Value: rtx + " apt=" + pt},
	}
}

func (c *chosen) formatAttributes(pt string) []sdp.Attribute {
	rtpmap := c.codec.name + "/" + strconv.Itoa(int(c.codec.clockRate))
	if c.codec.channels > 0 {
		rtpmap += "/" + strconv.Itoa(int(c.codec.channels))
	}
	out := []sdp.Attribute{{Key: "rtpmap", Value: pt + " " + rtpmap}}
	if c.codec.fmtp != "" {
		out = append(out, sdp.Attribute{Key: "fmtp", Value: pt + " " + c.codec.fmtp})
	}
	for _, f := range c.codec.feedback {
		out = append(out, sdp.Attribute{Key: "rtcp-fb", Value: pt + " " + f})
	}
	return out
}

// keeps tells which attributes of the m-line stay as they are.
func (c *chosen) keeps(a sdp.Attribute) bool {
	switch {
	case isCandidate(a.Key), slices.Contains(directions, a.Key):
		return false
	case a.Key == "extmap":
		return keepsExtension(a.Value)
	}
	return !slices.Contains([]string{"rtpmap", "fmtp", "rtcp-fb", "rid", "simulcast", "bundle-only"}, a.Key)
}

func keepsExtension(value string) bool {
	fields := strings.Fields(value)
	return len(fields) >= 2 && slices.Contains(ingestExtensions, fields[1])
}

// rtxUsable tells whether retransmissions are negotiated: a viewer must be able to
// tell them from media.
func (c *chosen) rtxUsable(s side) bool { return s == publishing || c.namesSSRC() || c.inactive }

func (c *chosen) namesSSRC() bool {
	_, ok := c.desc.Attribute(sdp.AttrKeySSRC)
	return ok
}
