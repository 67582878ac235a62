package whip

import (
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/live777/recorder/internal/base/fault"
)

// fragment has what matters of a trickle ICE SDP fragment (RFC 8840 section 9).
// Candidates are not kept: the node is an ICE-lite agent, which learns the client's
// addresses from the checks that it receives.
type fragment struct {
	ufrag    string
	password string
}

// parseFragment reads the credentials of an SDP fragment. Its errors are of
// kind fault.Invalid.
func parseFragment(text string) (fragment, error) {
	var f fragment
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return fragment{}, fault.Errorf(fault.Invalid, "the SDP fragment has a malformed line %q", line[:min(len(line), 80)])
		}
		key, value, _ := strings.Cut(line[2:], ":")
		if line[0] != 'a' {
			continue
		}
		switch key {
		case "ice-ufrag":
			if f.ufrag != "" && f.ufrag != value {
				return fragment{}, fault.New(fault.Invalid, "the SDP fragment has two different a=ice-ufrag")
			}
			f.ufrag = value
		case "ice-pwd":
			if f.password != "" && f.password != value {
				return fragment{}, fault.New(fault.Invalid, "the SDP fragment has two different a=ice-pwd")
			}
			f.password = value
		}
	}
	if (f.ufrag == "") != (f.password == "") {
		return fragment{}, fault.New(fault.Invalid, "the SDP fragment must have both a=ice-ufrag and a=ice-pwd")
	}
	if f.ufrag != "" && (len(f.ufrag) < 4 || len(f.password) < 22 || !isICEChars(f.ufrag) || !isICEChars(f.password)) {
		return fragment{}, fault.New(fault.Invalid, "a=ice-ufrag or a=ice-pwd of the SDP fragment is malformed")
	}
	return f, nil
}

// answerFragment tells the node's credentials and candidates after an ICE
// restart, for the m-line whose transport the bundle uses.
func answerFragment(answer *sdp.SessionDescription) string {
	var b strings.Builder
	line := func(key, value string) {
		b.WriteString("a=" + key)
		if value != "" {
			b.WriteString(":" + value)
		}
		b.WriteString("\r\n")
	}
	for _, key := range []string{sdp.AttrKeyICELite, "ice-options", sdp.AttrKeyGroup} {
		if v, ok := answer.Attribute(key); ok {
			line(key, v)
		}
	}
	for _, m := range answer.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		b.WriteString("m=" + m.MediaName.String() + "\r\n")
		for _, a := range m.Attributes {
			switch a.Key {
			case sdp.AttrKeyMID, "ice-ufrag", "ice-pwd", sdp.AttrKeyCandidate, sdp.AttrKeyEndOfCandidates:
				line(a.Key, a.Value)
			}
		}
		break
	}
	return b.String()
}
