package whip

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// offeredCodec is a format of an m-line, with what belongs to it.
type offeredCodec struct {
	payloadType uint8
	name        string // as in a=rtpmap
	clockRate   uint32
	channels    uint16 // 0 for video
	fmtp        string
	feedback    []string // a=rtcp-fb values that are made use of: "nack pli"
	rtx         uint8    // payload type of its retransmissions (RFC 4588)
	hasRTX      bool
}

// parseCodecs collects the formats of an m-line in its order. Formats without a
// well-formed a=rtpmap are left out.
func parseCodecs(m *sdp.MediaDescription) []offeredCodec {
	formats := make(map[string]*offeredCodec)
	for _, f := range m.MediaName.Formats {
		if pt, ok := payloadType(f); ok {
			formats[f] = &offeredCodec{payloadType: pt}
		}
	}
	var forAll []string // a=rtcp-fb:*
	for _, a := range m.Attributes {
		pt, value, _ := strings.Cut(a.Value, " ")
		if a.Key == "rtcp-fb" && pt == "*" {
			forAll = addFeedback(forAll, value)
		}
		c, ok := formats[pt]
		if !ok {
			continue
		}
		switch a.Key {
		case "rtpmap":
			c.name, c.clockRate, c.channels = parseRtpmap(value)
		case "fmtp":
			c.fmtp = value
		case "rtcp-fb":
			c.feedback = addFeedback(c.feedback, value)
		}
	}
	var codecs []offeredCodec
	for _, f := range m.MediaName.Formats {
		c, ok := formats[f]
		if !ok || c.name == "" {
			continue
		}
		delete(formats, f) // a format that is named twice counts once
		if strings.EqualFold(c.name, "rtx") {
			continue
		}
		for _, value := range forAll {
			c.feedback = addFeedback(c.feedback, value)
		}
		codecs = append(codecs, *c)
	}
	pairRTX(m, codecs)
	return codecs
}

// payloadType reads a payload type as it is written everywhere: "096" would be
// another name for 96.
func payloadType(f string) (uint8, bool) {
	n, err := strconv.ParseUint(f, 10, 7)
	return uint8(n), err == nil && strconv.FormatUint(n, 10) == f
}

// addFeedback appends what the node makes use of, once.
func addFeedback(list []string, value string) []string {
	used := slices.ContainsFunc(videoFeedback, func(f webrtc.RTCPFeedback) bool {
		return value == strings.TrimSpace(f.Type+" "+f.Parameter)
	})
	if !used || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}

// pairRTX finds the retransmission format of each codec.
func pairRTX(m *sdp.MediaDescription, codecs []offeredCodec) {
	rtx := make(map[string]bool)
	for _, a := range m.Attributes {
		pt, value, _ := strings.Cut(a.Value, " ")
		if a.Key == "rtpmap" && strings.HasPrefix(strings.ToLower(value), "rtx/") {
			rtx[pt] = true
		}
	}
	for _, a := range m.Attributes {
		pt, value, _ := strings.Cut(a.Value, " ")
		if a.Key != "fmtp" || !rtx[pt] || !slices.Contains(m.MediaName.Formats, pt) {
			continue
		}
		apt, ok := parameters(value)["apt"]
		n, valid := payloadType(pt)
		if !ok || !valid {
			continue
		}
		for i := range codecs {
			if strconv.Itoa(int(codecs[i].payloadType)) == apt {
				codecs[i].rtx, codecs[i].hasRTX = n, true
			}
		}
	}
}

// parseRtpmap splits "opus/48000/2". A malformed one has no name.
func parseRtpmap(value string) (name string, clockRate uint32, channels uint16) {
	parts := strings.Split(strings.TrimSpace(value), "/")
	if len(parts) < 2 || len(parts) > 3 {
		return "", 0, 0
	}
	clock, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return "", 0, 0
	}
	if len(parts) == 3 {
		n, err := strconv.ParseUint(parts[2], 10, 16)
		if err != nil {
			return "", 0, 0
		}
		channels = uint16(n)
	}
	return parts[0], uint32(clock), channels
}

// parameters splits an a=fmtp value; names are in lower case.
func parameters(fmtp string) map[string]string {
	out := make(map[string]string)
	for p := range strings.SplitSeq(fmtp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if name != "" {
			out[strings.ToLower(name)] = value
		}
	}
	return out
}
