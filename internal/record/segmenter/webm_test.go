package segmenter

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"

	"github.com/live777/recorder/internal/media"
)

var vp8Format = &media.Format{Codec: "VP8", RFC6381: "vp8", Timescale: 90000, Width: 320, Height: 180}

// webmVideo returns a video track whose Period is WebM.
func webmVideo(t *testing.T, d *disk) *Track {
	t.Helper()
	tr := NewTrack(media.Video, 0, options, d)
	if init := must(tr.Begin(vp8Format))(t); init != "v_init.webm" || tr.Media() != "v_seg_$Number%04d$.webm" {
		t.Fatalf("init %q, media %q", init, tr.Media())
	}
	return tr
}

// blocks returns the times of a segment's samples and of its end, in
// milliseconds. What has been written must be whole elements, at any time.
func blocks(t *testing.T, data []byte) (at []int64, end int64) {
	t.Helper()
	var s struct {
		Cluster []webm.Cluster `ebml:"Cluster"`
	}
	if err := ebml.Unmarshal(bytes.NewReader(data), &s); err != nil {
		t.Fatal(err)
	}
	for i, c := range s.Cluster {
		if i > 0 && int64(c.Timecode) != end {
			t.Errorf("Cluster at %d, the one before ends at %d", c.Timecode, end)
		}
		for _, b := range c.SimpleBlock {
			at = append(at, int64(c.Timecode)+int64(b.Timecode))
		}
		last := c.BlockGroup[0]
		at = append(at, int64(c.Timecode)+int64(last.Block.Timecode))
		end = at[len(at)-1] + int64(last.BlockDuration)
	}
	return at, end
}

// Times are rounded one by one: an hour of 29.97 Hz does not drift, and the
// segments join exactly.
func TestWebMRounding(t *testing.T) {
	d := newDisk()
	tr := webmVideo(t, d)
	const frames, start = 30 * 3600, 1234 // start is not a whole millisecond
	for i := range frames {
		if err := tr.Write(Sample{Time: start + media.Ticks(i)*3003, Key: i%60 == 0, Cut: i%60 == 0, Data: []byte{1}}); err != nil {
			t.Fatal(err)
		}
	}
	must(tr.End(start + frames*3003))(t)
	i := 0
	next := tr.round(start)
	for _, s := range d.closed {
		if s.Time != next || s.Time%90 != 0 || s.Duration%90 != 0 || !strings.HasSuffix(s.Name, ".webm") {
			t.Fatalf("segment %+v, want one at %d of whole milliseconds", s, next)
		}
		at, end := blocks(t, d.objects[s.Name].Bytes())
		for _, ms := range at {
			if exact := start + media.Ticks(i)*3003; (media.Ticks(ms)*90 - exact).Duration(90000).Abs() > time.Millisecond/2 {
				t.Fatalf("frame %d is at %d ms, sent at %d ticks", i, ms, exact)
			}
			i++
		}
		next = s.Time + s.Duration
		if media.Ticks(end)*90 != next {
			t.Fatalf("%s ends at %d ms, the manifest says %d", s.Name, end, next)
		}
	}
	if want := tr.round(start + frames*3003); i != frames || next != want {
		t.Errorf("%d frames up to %d, want %d up to %d", i, next, frames, want)
	}
}

// An open segment can be read after each chunk.
func TestWebMChunks(t *testing.T) {
	d := newDisk()
	tr := webmVideo(t, d)
	for i := range 50 {
		if err := tr.Write(Sample{Time: media.Ticks(i) * 3000, Key: i == 0, Data: bytes.Repeat([]byte{byte(i)}, 99)}); err != nil {
			t.Fatal(err)
		}
		o := d.objects["v_seg_0001.webm"]
		if at, end := blocks(t, o.Bytes()); len(at) != i/15*15 || media.Ticks(end)*90 != tr.Written() {
			t.Fatalf("after frame %d there are %d up to %d ms, written up to %d", i, len(at), end, tr.Written())
		}
	}
}

// Frames that are nearer than the container can tell keep their order.
func TestWebMNearFrames(t *testing.T) {
	d := newDisk()
	tr := webmVideo(t, d)
	for i, at := range []media.Ticks{0, 1, 2, 3, 134, 136, 9000} {
		if err := tr.Write(Sample{Time: at, Key: i == 0, Data: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Write(Sample{Time: 8999}); err == nil {
		t.Error("a sample before the one before was taken")
	}
	end := must(tr.End(0))(t)
	at, ms := blocks(t, d.objects["v_seg_0001.webm"].Bytes())
	for i := range at[1:] {
		if at[i+1] <= at[i] {
			t.Errorf("times %v", at)
		}
	}
	if len(at) != 7 || at[6] != 100 || media.Ticks(ms)*90 != end {
		t.Errorf("frames at %v ms up to %d, the track ends at %d", at, ms, end)
	}
}

// The container changes with a Period and back: numbers and mfhd sequence
// numbers go on, no name is used twice, and times do not overlap.
func TestContainerChanges(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 30, 30)
	end := must(tr.End(89_944))(t)
	if got := tr.Place(end); got != end {
		t.Errorf("MP4 is placed at %d, not at %d", got, end)
	}
	if init := must(tr.Begin(vp8Format))(t); init != "v_init_0002.webm" {
		t.Errorf("init segment %q", init)
	}
	start := tr.Place(end) // the nearest millisecond is before the end
	if start < end || start%90 != 0 {
		t.Errorf("WebM begins at %d, MP4 ends at %d", start, end)
	}
	err := errors.Join(tr.Write(Sample{Time: end, Key: true, Data: []byte{1}}), tr.Write(Sample{Time: end + 3000, Data: []byte{2}}))
	if err != nil {
		t.Fatal(err)
	}
	end = must(tr.End(end + 6001))(t)
	if init := must(tr.Begin(videoFormat(640)))(t); init != "v_init_0003.m4s" || tr.Media() != "v_seg_$Number%04d$.m4s" {
		t.Errorf("init segment %q, media %q", init, tr.Media())
	}
	if err := tr.Write(Sample{Time: end, Duration: 7, Key: true, Data: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	must(tr.End(0))(t)
	names := []string{"v_seg_0001.m4s", "v_seg_0002.webm", "v_seg_0003.m4s"}
	for i, s := range d.closed {
		if s.Name != names[i] || s.Number != i+1 || i > 0 && s.Time < d.closed[i-1].Time+d.closed[i-1].Duration {
			t.Errorf("segment %d is %+v", i, s)
		}
	}
	if d.closed[1].Time != start || d.closed[2].Time != end || d.closed[2].Duration != 7 {
		t.Errorf("segments %+v", d.closed)
	}
	if tr.mp4.sequence < 3 { // two chunks, then one
		t.Errorf("mfhd sequence number %d", tr.mp4.sequence)
	}
}
