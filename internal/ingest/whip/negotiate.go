package whip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// chosen is what one m-line of an offer is answered with.
type chosen struct {
	*section
	codec    offeredCodec
	row      *codec.Codec
	inactive bool // nothing is sent on it
}

// chooseForPublisher picks the codec of each m-line: the first of the offer that
// can be recorded, else VP8, else one that can only be carried. All m-lines
// must get one: an offer is accepted as a whole or not at all (RFC 9725
// section 4.2). The error is of kind fault.Unprocessable.
func chooseForPublisher(o *offer) ([]chosen, error) {
	var out []chosen
	for i := range o.sections {
		sec := &o.sections[i]
		c, ok := firstUsable(sec)
		if !ok {
			return nil, fault.Errorf(fault.Unprocessable, "no usable %s codec: offered %s; accepted are %s",
				sec.kind, offeredNames(sec), acceptedNames(sec.kind)).Coded("codec_unusable", "offered", offeredNames(sec), "accepted", acceptedNames(sec.kind))
		}
		if c.kind == media.Audio && c.row.Check == nil { // what the node prefers to receive, such as stereo (RFC 7587 section 6.1)
			c.codec.fmtp = c.row.Fmtp[0]
		}
		out = append(out, c)
	}
	return out, nil
}

func firstUsable(sec *section) (chosen, bool) {
	best, bestRank := chosen{}, 0
	for _, c := range sec.codecs {
		row, rare, ok := lookup(c, sec.kind)
		if !ok {
			continue
		}
		if r := rank(row, rare, len(sec.layers()) > 0); best.row == nil || r < bestRank {
			best, bestRank = chosen{section: sec, codec: c, row: row}, r
		}
	}
	return best, best.row != nil
}

// rank orders codecs by what becomes of them in a recording. Of VP9 and AV1 browsers
// make no layers unless they are told how: Firefox sends several of the smallest size,
// Chromium one stream with layers within.
func rank(row *codec.Codec, rare, simulcast bool) int {
	switch {
	case !row.Recordable():
		return 4
	case rare:
		return 3
	case simulcast && (row.Name == "VP9" || row.Name == "AV1"):
		return 2
	case row.Name == "VP8": // records as WebM, which fewer players take
		return 1
	}
	return 0
}

// chooseForViewer picks, for each m-line, the offered format that fits the
// publisher's track of that kind. An m-line for which there is no track is
// answered inactive. The error is of kind fault.Unprocessable.
func chooseForViewer(o *offer, tracks []media.Track) ([]chosen, error) {
	var out []chosen
	var sends bool
	for i := range o.sections {
		sec := &o.sections[i]
		t := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == sec.kind })
		if t < 0 {
			c, ok := firstUsable(sec)
			if !ok {
				return nil, fault.Errorf(fault.Unprocessable, "no usable %s codec: offered %s", sec.kind, offeredNames(sec)).Coded("codec_unknown", "offered", offeredNames(sec))
			}
			c.inactive = true
			out = append(out, c)
			continue
		}
		c, ok := fitting(sec, tracks[t])
		if !ok {
			return nil, fault.Errorf(fault.Unprocessable, "the stream's %s is %s, which the offer does not have: offered %s",
				sec.kind, tracks[t].Codec, offeredNames(sec)).Coded("codec_not_offered", "codec", tracks[t].Codec)
		}
		out = append(out, c)
		sends = true
	}
	if !sends {
		return nil, fault.Errorf(fault.Unprocessable, "the stream has no track of a kind that was offered: it has %s", trackNames(tracks)).Coded("kind_not_offered")
	}
	return out, nil
}

// fitting finds the format of sec for t: one of the same profile, else one of
// the same codec, because decoders take more profiles than their SDP names.
func fitting(sec *section, t media.Track) (chosen, bool) {
	row, ok := codec.Lookup(t.Codec)
	if !ok {
		return chosen{}, false
	}
	var fallback *offeredCodec
	for i := range sec.codecs {
		c := &sec.codecs[i]
		if !sameEncoding(*c, row) {
			continue
		}
		if sameProfile(row.Name, c.fmtp, t.Fmtp) {
			return chosen{section: sec, codec: *c, row: row}, true
		}
		if fallback == nil && canCarry(row.Name, c.fmtp, t.Fmtp) {
			fallback = c
		}
	}
	if fallback == nil {
		return chosen{}, false
	}
	return chosen{section: sec, codec: *fallback, row: row}, true
}

// lookup finds the row of package codec's table for an offered format. rare says
// that it is of a profile that few players decode.
func lookup(c offeredCodec, kind media.Kind) (row *codec.Codec, rare, ok bool) {
	row, ok = codec.Lookup(c.name)
	if !ok || row.Kind != kind || !sameEncoding(c, row) {
		return nil, false, false
	}
	if row.Check != nil {
		return row, false, true
	}
	same := func(fmtp string) bool { return sameProfile(row.Name, c.fmtp, fmtp) }
	if slices.ContainsFunc(row.Fmtp, same) {
		return row, false, true
	}
	rare = slices.ContainsFunc(row.Rare, same)
	return row, rare, rare
}

// sameEncoding compares what is in a=rtpmap, and checks what describes the stream.
func sameEncoding(c offeredCodec, row *codec.Codec) bool {
	if !strings.EqualFold(c.name, row.Name) || c.clockRate != row.ClockRate {
		return false
	}
	if row.Check != nil {
		return row.Check(c.channels, c.fmtp) == nil
	}
	return row.Kind == media.Video || max(c.channels, 1) == max(row.Channels, 1)
}

// sameProfile compares the parameters that tell bitstreams of one codec apart;
// all others (levels, preferences of a receiver) do not matter here.
func sameProfile(name, a, b string) bool {
	p, q := parameters(a), parameters(b)
	equal := func(param, missing string) bool { return orDefault(p[param], missing) == orDefault(q[param], missing) }
	switch name {
	case "H264": // RFC 6184 section 8.1
		return equal("packetization-mode", "0") && h264Profile(p) == h264Profile(q)
	case "H265": // RFC 7798 section 7.1
		return equal("profile-id", "1") && equal("tx-mode", "SRST")
	case "VP9": // RFC 9628 section 6
		return equal("profile-id", "0")
	case "AV1":
		return equal("profile", "0")
	case "multiopus": // what browsers define; none has a default
		return equal("channel_mapping", "") && equal("num_streams", "") && equal("coupled_streams", "")
	}
	return true
}

// canCarry tells whether a stream with parameters sent may go to a format with
// other parameters offered: a receiver of H264 single NAL units knows no others,
// and one of multichannel Opus cannot even tell the streams of a packet apart.
func canCarry(name, offered, sent string) bool {
	p, q := parameters(offered), parameters(sent)
	switch name {
	case "H264":
		return p["packetization-mode"] == "1" || q["packetization-mode"] != "1"
	case "multiopus":
		return false
	}
	return true
}

// h264Profile is the profile_idc in profile-level-id; RFC 6184 section 8.1 makes
// Baseline the default. The constraint flags are left out: streams that differ
// in them only are decoded alike.
func h264Profile(p map[string]string) string {
	id := strings.ToLower(p["profile-level-id"])
	if len(id) != 6 {
		return "42"
	}
	return id[:2]
}

// profileOf returns the parameters of a=fmtp that tell which profile a format has,
// and how it is put into packets.
func profileOf(fmtp string) string {
	var out []string
	p := parameters(fmtp)
	for _, name := range []string{"profile-level-id", "packetization-mode", "profile-id", "profile", "tx-mode"} {
		if v, ok := p[name]; ok {
			out = append(out, name+"="+v)
		}
	}
	return strings.Join(out, ";")
}

func orDefault(s, missing string) string {
	if s == "" {
		return missing
	}
	return s
}

// offeredNames lists what was offered; of codecs that the node knows, with what
// tells which profile it is.
func offeredNames(sec *section) string {
	var names []string
	for _, c := range sec.codecs {
		name := c.name
		if _, known := codec.Lookup(name); known {
			name = strings.TrimSpace(name + " " + profileOf(c.fmtp))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return quoteJoin(names)
}

func acceptedNames(kind media.Kind) string {
	var names []string
	for _, c := range codec.All() {
		if c.Kind == kind {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

func trackNames(tracks []media.Track) string {
	var names []string
	for _, t := range tracks {
		names = append(names, t.Kind.String()+" "+t.Codec)
	}
	return strings.Join(names, ", ")
}

// quoteJoin lists names that a client chose.
func quoteJoin(names []string) string {
	names = names[:min(len(names), 20)]
	return strings.Trim(fmt.Sprintf("%q", names), "[]")
}

// tracksOf lists the tracks of a publication: one for each m-line, or for each
// simulcast layer of it.
func tracksOf(cs []chosen) []media.Track {
	var tracks []media.Track
	for _, c := range cs {
		rids := c.layers()
		if len(rids) == 0 {
			rids = []string{""}
		}
		for _, rid := range rids {
			t := media.Track{
				ID:        media.TrackID(len(tracks)),
				Kind:      c.kind,
				Codec:     c.row.Name,
				ClockRate: c.row.ClockRate,
				Fmtp:      c.codec.fmtp,
				MID:       c.mid,
				RID:       rid,
			}
			if c.kind == media.Audio {
				t.Channels = max(c.codec.channels, 1)
			}
			tracks = append(tracks, t)
		}
	}
	return tracks
}
