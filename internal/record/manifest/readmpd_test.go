package manifest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/Eyevinn/dash-mpd/mpd"
)

// What is read without a reader of XML is what that reads, and what it does not know is
// left to it.
func TestReadMPD(t *testing.T) {
	const head = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" minBufferTime="PT2S"><Period id="p1"><AdaptationSet>` +
		`<Representation id="v" bandwidth="1"><SegmentTemplate timescale="9" media="v$Number$"><SegmentTimeline>`
	const middle = `</SegmentTimeline></SegmentTemplate></Representation><Representation id="w" bandwidth="1"><SegmentTemplate timescale="9"><SegmentTimeline>`
	const tail = `</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>`
	for _, tc := range []struct {
		name string
		text string
		cut  bool
	}{
		{"as it is written", head + "\n<S t=\"5\" d=\"7\" r=\"2\"/>\n<S d=\"8\"/>\n" + middle + `<S t="18446744073709551615" d="1"/>` + tail, true},
		{"empty", head + middle + tail, true},
		{"another attribute", head + `<S t="5" n="3" d="7"/>` + middle + tail, false},
		{"in other quotes", head + `<S t='5' d='7'/>` + middle + tail, false},
		{"repeated for ever", head + `<S t="5" d="7" r="-1"/>` + middle + tail, false},
		{"in a comment", strings.Replace(head, "<Period", "<!-- <SegmentTimeline> --><Period", 1) + `<S d="7"/>` + middle + tail, false},
		{"with an end of its own", head + `<S d="7"></S>` + middle + tail, false},
	} {
		if _, _, ok := cutTimelines([]byte(tc.text)); ok != tc.cut {
			t.Errorf("%s: it is read here: %v", tc.name, ok)
		}
		got, err := ReadMPD([]byte(tc.text))
		want, wantErr := mpd.ReadFromString(tc.text)
		if err != nil || wantErr != nil {
			t.Fatalf("%s: %v, %v", tc.name, err, wantErr)
		}
		for i, r := range want.Periods[0].AdaptationSets[0].Representations {
			a, b := got.Periods[0].AdaptationSets[0].Representations[i].SegmentTemplate.SegmentTimeline.S, r.SegmentTemplate.SegmentTimeline.S
			if len(a) != len(b) || len(a) > 0 && !reflect.DeepEqual(a, b) {
				t.Errorf("%s: read as %+v, want %+v", tc.name, a, b)
			}
		}
	}
	if _, err := ReadMPD([]byte(head)); err == nil {
		t.Error("half an MPD is read")
	}
}
