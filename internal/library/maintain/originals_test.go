package maintain

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/media/fmp4"
)

// originalMade is a recording as an original makes one: its layout, its flags and its faults,
// with black pictures and silence.
type originalMade struct {
	video     string // codec; "" for none
	segments  int    // that the manifest names, of ten seconds each
	more      int    // that it does not name yet
	dynamic   bool   // it was not ended
	published time.Time
}

// originalSegment is how long a segment is, in seconds.
const originalSegment = 10

// originalTrack is a track of it.
type originalTrack struct {
	kind media.Kind
	unit codec.Unit
	id   uint32
}

func (o originalMade) tracks(t *testing.T) (list []originalTrack) {
	t.Helper()
	for _, l := range []struct {
		kind media.Kind
		name string
	}{{media.Video, o.video}, {media.Audio, "opus"}} {
		c, ok := codec.Lookup(l.name)
		if l.name == "" {
			continue
		}
		unit, made := c.Neutral(media.Track{Kind: l.kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: 2})
		if !ok || !made {
			t.Fatalf("%s has no neutral unit", l.name)
		}
		list = append(list, originalTrack{l.kind, unit, originalTrackIDs[l.kind]})
	}
	return list
}

// each is how long a sample lasts: a picture a second, and packets of sound as they are.
func (tr *originalTrack) each() uint32 {
	if tr.kind == media.Audio {
		return uint32(tr.unit.Duration)
	}
	return tr.unit.Format.Timescale
}

func (tr *originalTrack) prefix() string { return tr.kind.String()[:1] }

// writeOriginal puts a recording of an original into a folder.
func (g *rig) writeOriginal(dir string, o originalMade) {
	g.t.Helper()
	for _, tr := range o.tracks(g.t) {
		init, err := fmp4.Init(tr.id, tr.unit.Format)
		if err != nil {
			g.t.Fatal(err)
		}
		g.write(path.Join(dir, tr.prefix()+"_init.m4s"), faulty(init))
		for n := 1; n <= o.segments+o.more; n++ {
			g.write(path.Join(dir, fmt.Sprintf("%s_seg_%04d.m4s", tr.prefix(), n)), tr.segment(n))
		}
	}
	g.write(path.Join(dir, media.ManifestName), o.manifest(g.t))
}

// box is an MP4 box.
func box(name string, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	return append(binary.BigEndian.AppendUint32(nil, uint32(8+len(all))), append([]byte(name), all...)...)
}

func u32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// faulty makes the smhd box of an init segment four bytes too long, halves the bit depth that
// vpcC has, and has hvcC say constraints that are not those of the SPS.
func faulty(init []byte) []byte {
	init = bytes.Replace(init, []byte("hvc1"), []byte("hev1"), 1)
	if i := bytes.Index(init, []byte("hvcC")); i >= 0 {
		copy(init[i+4+6:], []byte{3, 0, 0x90, 0, 0, 3})
	}
	if i := bytes.Index(init, []byte("vpcC")); i >= 0 {
		depth := &init[i+4+6]
		*depth = *depth&0x0f | *depth>>5<<4
	}
	i := bytes.Index(init, []byte("smhd"))
	if i < 0 {
		return init
	}
	wide := slices.Insert(slices.Clone(init), i+12, 0, 0, 0, 0)
	for _, parent := range []string{"moov", "trak", "mdia", "minf", "smhd"} {
		at := bytes.Index(wide, []byte(parent)) - 4
		binary.BigEndian.PutUint32(wide[at:], binary.BigEndian.Uint32(wide[at:])+4)
	}
	return wide
}

// segment makes a segment: one moof, whose tfhd has the flag 0x000200.
func (tr *originalTrack) segment(number int) []byte {
	each, n := tr.each(), originalSegment*tr.unit.Format.Timescale/tr.each()
	var samples, data []byte
	for range n {
		samples = append(samples, u32(each, uint32(len(tr.unit.Data)), 0x02000000)...)
		data = append(data, tr.unit.Data...)
	}
	moof := func(offset uint32) []byte {
		return box("moof", box("mfhd", u32(0, uint32(number))), box("traf",
			box("tfhd", u32(0x000200, tr.id)),
			box("tfdt", u32(0x01000000, 0, uint32(number-1)*originalSegment*tr.unit.Format.Timescale)),
			box("trun", u32(0x000701, n, offset), samples)))
	}
	styp := box("styp", []byte("msdh\x00\x00\x00\x00msdhdash"))
	return slices.Concat(styp, moof(uint32(len(moof(0))+8)), box("mdat", data))
}

// manifest makes the MPD.
func (o originalMade) manifest(t *testing.T) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011"`)
	if o.dynamic {
		fmt.Fprintf(&b, ` type="dynamic" publishTime=%q availabilityStartTime=%q>`, o.published.Format(time.RFC3339),
			o.published.Add(-time.Duration(o.segments)*originalSegment*time.Second).Format(time.RFC3339))
	} else {
		fmt.Fprintf(&b, ` type="static" mediaPresentationDuration="PT%d.000S">`, o.segments*originalSegment)
	}
	b.WriteString(`<Period id="0" start="PT0.0S">`)
	for _, tr := range o.tracks(t) {
		rate := tr.unit.Format.Timescale
		fmt.Fprintf(&b, `<AdaptationSet contentType=%q><Representation codecs=%q><SegmentTemplate timescale="%d" `, tr.kind, tr.unit.Format.RFC6381, rate)
		fmt.Fprintf(&b, `initialization="%[1]s_init.m4s" media="%[1]s_seg_$Number%%04d$.m4s" startNumber="1"><SegmentTimeline>`, tr.prefix())
		for n := range o.segments {
			fmt.Fprintf(&b, `<S t="%d" d="%d" />`, uint32(n)*originalSegment*rate, originalSegment*rate)
		}
		b.WriteString(`</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet>`)
	}
	b.WriteString(`</Period></MPD>`)
	return []byte(b.String())
}
