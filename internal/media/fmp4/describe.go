package fmp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/Eyevinn/mp4ff/hevc"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// description is what is read of an init segment.
type description struct {
	kind   media.Kind
	format media.Format
}

// Describe returns the kind of an init segment's track, and its format without what only a
// sample entry is made of. RFC6381 is empty where the sample entry does not tell it. Other
// programs may have written it, with boxes that are longer than they should be. The error is
// a fault.Invalid.
func Describe(init []byte) (media.Kind, *media.Format, error) {
	var d description
	if !eachBox(init, d.box) || d.kind == 0 || d.format.Timescale == 0 {
		return 0, nil, fault.New(fault.Invalid, "read the init segment: it does not describe a track of a known codec")
	}
	return d.kind, &d.format, nil
}

// box reads a box; false where it cannot be.
func (d *description) box(name string, body []byte) bool {
	switch name {
	case "moov", "trak", "mdia", "minf", "stbl":
		return eachBox(body, d.box)
	case "mdhd":
		if len(body) < 24 || body[0] != 0 {
			return false
		}
		d.format.Timescale = binary.BigEndian.Uint32(body[12:])
	case "stsd":
		return len(body) > 8 && eachBox(body[8:], d.entry)
	}
	return true
}

const (
	visualEntry = 78 // bytes of a visual sample entry before its boxes
	audioEntry  = 28 // of an audio sample entry
)

// entry reads a sample entry.
func (d *description) entry(name string, body []byte) bool {
	if name == "Opus" {
		if len(body) < audioEntry {
			return false
		}
		d.kind, d.format.Codec, d.format.RFC6381 = media.Audio, "opus", "opus"
		d.format.Channels = int(binary.BigEndian.Uint16(body[16:]))
		return true
	}
	codec, ok := map[string]string{"avc1": "H264", "avc3": "H264", "hvc1": "H265", "hev1": "H265", "vp09": "VP9", "av01": "AV1"}[name]
	if !ok || len(body) < visualEntry {
		return !ok
	}
	d.kind, d.format.Codec = media.Video, codec
	d.format.Width, d.format.Height = int(binary.BigEndian.Uint16(body[24:])), int(binary.BigEndian.Uint16(body[26:]))
	return eachBox(body[visualEntry:], func(box string, body []byte) bool {
		switch {
		case box == "avcC" && len(body) >= 4:
			d.format.RFC6381 = fmt.Sprintf("%s.%02X%02X%02X", name, body[1], body[2], body[3])
		case box == "hvcC" && len(body) >= hvcCLevel+1:
			d.format.RFC6381 = hevcCodecs(name, body)
		case box == "vpcC" && len(body) >= vpcCDepth+1:
			d.format.RFC6381 = fmt.Sprintf("vp09.%02d.%02d.%02d", body[4], body[5], body[vpcCDepth]>>4)
		}
		return true
	})
}

// hvcCLevel is where an hvcC box has its level, behind profile, compatibility and constraints.
const hvcCLevel = 12

// hevcCodecs returns the codecs parameter of an hvcC box (ISO/IEC 14496-15 annex E.3).
func hevcCodecs(entry string, hvcC []byte) string {
	space, tier := []string{"", "A", "B", "C"}[hvcC[1]>>6], "L"
	if hvcC[1]&0x20 != 0 {
		tier = "H"
	}
	codecs := fmt.Sprintf("%s.%s%d.%X.%s%d", entry, space, hvcC[1]&0x1f, bits.Reverse32(binary.BigEndian.Uint32(hvcC[2:])), tier, hvcC[hvcCLevel])
	for _, b := range bytes.TrimRight(hvcC[6:hvcCLevel], "\x00") {
		codecs += fmt.Sprintf(".%X", b)
	}
	return codecs
}

const (
	// smhdSize is how long the content of a sound media header is (ISO/IEC 14496-12 12.2.2).
	smhdSize = 8
	// vpcCDepth is where a vpcC box has its bit depth, in the upper four bits.
	vpcCDepth = 6
	// leastDepth is the smallest bit depth that there is.
	leastDepth = 8
)

// Mend returns an init segment without the faults that an original live777 makes, at which
// many readers stumble: a sound media header that is too long, half the bit depth of VP9, and
// a profile of H265 that is read wrong.
// What is right, or cannot be read, is returned as it is.
func Mend(init []byte) []byte { return mend(init, 0) }

// mend is Mend of the boxes behind the first skip bytes.
func mend(data []byte, skip int) []byte {
	if len(data) < skip {
		return data
	}
	mended := slices.Clone(data[:skip])
	whole := eachBox(data[skip:], func(name string, body []byte) bool {
		switch {
		case name == "moov", name == "trak", name == "mdia", name == "minf", name == "stbl":
			body = mend(body, 0)
		case name == "stsd":
			body = mend(body, 8) // version, flags, number of entries
		case name == "vp09", name == "hev1":
			body = mend(body, visualEntry)
		case name == "hvcC":
			body = mendHEVC(body)
		case name == "smhd" && len(body) > smhdSize:
			body = body[:smhdSize]
		case name == "vpcC" && len(body) > vpcCDepth && 2*(body[vpcCDepth]>>4) >= leastDepth && body[vpcCDepth]>>4 < leastDepth:
			body = slices.Clone(body)
			body[vpcCDepth] += body[vpcCDepth] & 0xf0
		}
		mended = append(appendHeader(mended, boxHeaderSize+len(body), name), body...)
		return true
	})
	if !whole {
		return data
	}
	return mended
}

// mendHEVC returns an hvcC box with the profile, tier and level that its first SPS has
// (ISO/IEC 14496-15 8.3.3.1): an original reads them without looking for emulation prevention.
func mendHEVC(hvcC []byte) []byte {
	rec, err := hevc.DecodeHEVCDecConfRec(hvcC)
	if err != nil || len(hvcC) <= hvcCLevel {
		return hvcC
	}
	i := slices.IndexFunc(rec.NaluArrays, func(a hevc.NaluArray) bool { return a.NaluType() == hevc.NALU_SPS && len(a.Nalus) > 0 })
	if i < 0 {
		return hvcC
	}
	const before = 3 // bytes of an SPS: its header, and which VPS and how many layers it has
	sps := withoutEmulation(rec.NaluArrays[i].Nalus[0])
	if len(sps) < before+hvcCLevel {
		return hvcC
	}
	mended := slices.Clone(hvcC)
	copy(mended[1:hvcCLevel+1], sps[before:])
	return mended
}

// withoutEmulation returns a NAL unit without emulation prevention bytes (Rec. ITU-T H.265 7.3.1.1).
func withoutEmulation(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}
