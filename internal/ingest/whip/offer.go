package whip

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// What an offer may have: far more than any client sends, and little enough to
// be read in no time. A parser that compares each with each needs such bounds.
const (
	maxLayers     = 8    // simulcast layers; browsers send three
	maxRID        = 16   // bytes of the name of a layer
	maxMID        = 64   // bytes of the name of an m-line
	maxSections   = 16   // m-lines
	maxFormats    = 128  // of an m-line: there are no more payload types
	maxAttributes = 1000 // of an m-line, and of the session
)

// side is which end of a session the client is.
type side uint8

const (
	publishing side = iota
	viewing
)

// offer is a client's SDP offer that keeps all rules of RFC 9725 section 4.2
// (and the WHEP draft's, which are the same with the direction reversed).
type offer struct {
	desc     *sdp.SessionDescription
	sections []section // audio and video, in the offer's order
	rejected []int     // indices of m-lines that are answered with port 0: data channels, what the client disabled
	ufrag    string
	password string
	passive  bool // the client is the DTLS server (RFC 5763 section 5)
}

// section is an audio or video m-line of an offer.
type section struct {
	desc   *sdp.MediaDescription
	kind   media.Kind
	mid    string
	codecs []offeredCodec // without the repair formats
	rids   []string       // simulcast layers that the client sends
	sim    []uint32       // the same by their SSRCs, of clients that know no rids
}

// parseOffer checks text, which comes from the network. Its errors are of kind
// fault.Invalid.
func parseOffer(text string, s side) (*offer, error) {
	desc := new(sdp.SessionDescription)
	if err := desc.UnmarshalString(text); err != nil {
		return nil, fault.Errorf(fault.Invalid, "the SDP offer is malformed: %w", err)
	}
	if err := checkSize(desc); err != nil {
		return nil, err
	}
	o := &offer{desc: desc}
	for i, m := range desc.MediaDescriptions {
		if m.MediaName.Media == "application" || isDisabled(m) {
			o.rejected = append(o.rejected, i)
			continue
		}
		if err := o.add(m, s); err != nil {
			return nil, err
		}
	}
	if len(o.sections) == 0 {
		return nil, fault.New(fault.Invalid, "the SDP offer has no audio or video m-line")
	}
	if err := o.checkBundle(); err != nil {
		return nil, err
	}
	if err := o.checkTransport(); err != nil {
		return nil, err
	}
	return o, nil
}

// checkSize applies the bounds above.
func checkSize(desc *sdp.SessionDescription) error {
	if n := len(desc.MediaDescriptions); n > maxSections {
		return fault.Errorf(fault.Invalid, "the SDP offer has %d m-lines: up to %d are accepted", n, maxSections)
	}
	if n := len(desc.Attributes); n > maxAttributes {
		return fault.Errorf(fault.Invalid, "the SDP offer has %d attributes of the session: up to %d are accepted", n, maxAttributes)
	}
	for _, m := range desc.MediaDescriptions {
		if n := len(m.Attributes); n > maxAttributes {
			return fault.Errorf(fault.Invalid, "an m-line of the SDP offer has %d attributes: up to %d are accepted", n, maxAttributes)
		}
		if n := len(m.MediaName.Formats); n > maxFormats {
			return fault.Errorf(fault.Invalid, "an m-line of the SDP offer has %d formats: up to %d are accepted", n, maxFormats)
		}
	}
	return nil
}

func (o *offer) add(m *sdp.MediaDescription, s side) error {
	sec := section{desc: m}
	switch m.MediaName.Media {
	case "video":
		sec.kind = media.Video
	case "audio":
		sec.kind = media.Audio
	default:
		return fault.Errorf(fault.Invalid, "the SDP offer has an m-line of type %q: only audio and video are accepted", m.MediaName.Media)
	}
	for _, other := range o.sections {
		if other.kind == sec.kind {
			return fault.Errorf(fault.Invalid, "the SDP offer has more than one %s m-line: one is accepted", sec.kind)
		}
	}
	if !slices.Contains(m.MediaName.Protos, "SAVPF") {
		return fault.Errorf(fault.Invalid, "the %s m-line of the SDP offer is not UDP/TLS/RTP/SAVPF", sec.kind)
	}
	if _, ok := m.Attribute(sdp.AttrKeyRTCPMux); !ok {
		return fault.Errorf(fault.Invalid, "the %s m-line of the SDP offer lacks a=rtcp-mux", sec.kind)
	}
	mid, _ := m.Attribute(sdp.AttrKeyMID)
	if mid == "" || strings.ContainsAny(mid, " \t") {
		return fault.Errorf(fault.Invalid, "the %s m-line of the SDP offer lacks a=mid", sec.kind)
	}
	if len(mid) > maxMID {
		return fault.Errorf(fault.Invalid, "a=mid of the %s m-line of the SDP offer has more than %d bytes", sec.kind, maxMID)
	}
	sec.mid = mid
	if err := checkDirection(o.desc, m, s); err != nil {
		return err
	}
	sec.codecs = parseCodecs(m)
	if s == publishing {
		var err error
		if sec.rids, err = parseSimulcast(m); err != nil {
			return err
		}
		if len(sec.rids) == 0 {
			sec.sim, err = parseSIM(m)
		}
		if err != nil {
			return err
		}
	}
	o.sections = append(o.sections, sec)
	return nil
}

// isDisabled tells an m-line that is not used (RFC 3264 section 8.2) from one that
// is only bundled (RFC 8843 section 6).
func isDisabled(m *sdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	return m.MediaName.Port.Value == 0 && !bundleOnly
}

// directions are the a= lines of RFC 8866 section 6.7.
var directions = []string{"sendrecv", "sendonly", "recvonly", "inactive"}

// checkDirection applies RFC 9725 section 4.2: a publisher offers sendonly, or
// sendrecv, which is also what no direction means; a viewer recvonly or sendrecv.
func checkDirection(desc *sdp.SessionDescription, m *sdp.MediaDescription, s side) error {
	direction := "sendrecv"
	for _, attributes := range [][]sdp.Attribute{desc.Attributes, m.Attributes} {
		for _, a := range attributes {
			if slices.Contains(directions, a.Key) {
				direction = a.Key
			}
		}
	}
	want := "sendonly"
	if s == viewing {
		want = "recvonly"
	}
	if direction != want && direction != "sendrecv" {
		return fault.Errorf(fault.Invalid, "the %s m-line of the SDP offer is %s: it must be %s", m.MediaName.Media, direction, want)
	}
	return nil
}

// checkBundle wants all accepted m-lines in one BUNDLE group (RFC 9143): there
// is one transport.
func (o *offer) checkBundle() error {
	var bundled []string
	for _, a := range o.desc.Attributes {
		if mids, ok := strings.CutPrefix(a.Value, "BUNDLE"); a.Key == sdp.AttrKeyGroup && ok {
			bundled = strings.Fields(mids)
			break
		}
	}
	seen := make(map[string]bool)
	for _, sec := range o.sections {
		if seen[sec.mid] {
			return fault.Errorf(fault.Invalid, "the SDP offer has two m-lines with a=mid:%s", sec.mid)
		}
		seen[sec.mid] = true
		if len(o.sections) > 1 && !slices.Contains(bundled, sec.mid) {
			return fault.Errorf(fault.Invalid, "the SDP offer does not bundle the m-line %q: all must be in one a=group:BUNDLE", sec.mid)
		}
	}
	return nil
}

// checkTransport wants ICE credentials, a certificate's fingerprint and a DTLS
// role. RFC 9725 knows actpass and active; ffmpeg offers passive and is the DTLS
// server whatever it is answered.
func (o *offer) checkTransport() error {
	o.ufrag = o.attribute("ice-ufrag")
	o.password = o.attribute("ice-pwd")
	// RFC 8839 section 5.4: at least 4 and 22 characters, of a limited alphabet.
	if len(o.ufrag) < 4 || len(o.password) < 22 || !isICEChars(o.ufrag) || !isICEChars(o.password) {
		return fault.New(fault.Invalid, "the SDP offer lacks a=ice-ufrag and a=ice-pwd, or they are too short")
	}
	fingerprint := strings.Fields(o.attribute("fingerprint"))
	if len(fingerprint) != 2 {
		return fault.New(fault.Invalid, "the SDP offer lacks a=fingerprint")
	}
	switch setup := o.attribute("setup"); setup {
	case "", "actpass", "active":
	case "passive":
		o.passive = true
	default:
		return fault.Errorf(fault.Invalid, "the SDP offer has a=setup:%s: it must be actpass, active or passive", setup)
	}
	return nil
}

// attribute returns the value that holds for the first accepted m-line, which
// is the one whose transport the bundle uses.
func (o *offer) attribute(key string) string {
	if v, ok := o.sections[0].desc.Attribute(key); ok {
		return v
	}
	v, _ := o.desc.Attribute(key)
	return v
}

func isICEChars(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return len(s) <= 256
}

// parseSimulcast returns the layers of a=simulcast:send (RFC 8853), in order.
func parseSimulcast(m *sdp.MediaDescription) ([]string, error) {
	value, ok := m.Attribute("simulcast")
	if !ok {
		return nil, nil
	}
	fields := strings.Fields(value)
	i := slices.Index(fields, "send")
	if i < 0 || i+1 == len(fields) {
		return nil, nil
	}
	// Counted before they are compared with each other.
	rids := strings.FieldsFunc(fields[i+1], func(r rune) bool { return r == ';' || r == ',' })
	if len(rids) > maxLayers {
		return nil, fault.Errorf(fault.Invalid, "the SDP offer has %d simulcast layers: %d are accepted", len(rids), maxLayers)
	}
	for i, rid := range rids {
		rid = strings.TrimPrefix(rid, "~")
		if !isRID(rid) {
			return nil, fault.Errorf(fault.Invalid, "a=simulcast of the SDP offer names the layer %q: a name is 1 to %d letters and digits", printable(rid), maxRID)
		}
		if slices.Contains(rids[:i], rid) || !declaresRID(m, rid) {
			return nil, fault.Errorf(fault.Invalid, "a=simulcast of the SDP offer names the layer %q, which is not declared once by a=rid", rid)
		}
		rids[i] = rid
	}
	return rids, nil
}

// isRID tells the name of a layer (RFC 8852 section 3.3). What is longer fits no header
// extension of one byte.
func isRID(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxRID
}

// parseSIM returns the layers of a=ssrc-group:SIM, by which browsers sent simulcast
// before RFC 8853, the smallest first.
func parseSIM(m *sdp.MediaDescription) ([]uint32, error) {
	for _, a := range m.Attributes {
		if a.Key != sdp.AttrKeySSRCGroup {
			continue
		}
		group := ssrcGroup(a.Value, "SIM")
		if len(group) > maxLayers {
			return nil, fault.Errorf(fault.Invalid, "a=ssrc-group:SIM of the SDP offer has %d layers: %d are accepted", len(group), maxLayers)
		}
		if len(group) > 1 && len(slices.Compact(slices.Sorted(slices.Values(group)))) == len(group) {
			return group, nil
		}
	}
	return nil, nil
}

// layers names the simulcast layers of a section; nil where it has none.
func (s *section) layers() []string {
	if len(s.sim) == 0 {
		return s.rids
	}
	names := make([]string, len(s.sim))
	for i := range names {
		names[i] = "sim" + strconv.Itoa(i)
	}
	return names
}

func declaresRID(m *sdp.MediaDescription, rid string) bool {
	for _, a := range m.Attributes {
		if fields := strings.Fields(a.Value); a.Key == "rid" && len(fields) >= 2 && fields[0] == rid && fields[1] == "send" {
			return true
		}
	}
	return false
}
