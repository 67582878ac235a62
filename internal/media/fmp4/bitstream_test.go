package fmp4

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/depacket"
)

// How a sender deals with pictures that are reordered.
const (
	undeclared = "not declared"      // the bitstream does not say it
	byDecoder  = "in decoding order" // RTP has the times of decoding
)

// frameTicks is the distance of the pictures of a bitstream of the tests.
const frameTicks = 9000

// TestBitstreams sends bitstreams of encoders, whose pictures begin with an access
// unit delimiter, stores what came of them with one init segment, and has ffmpeg
// decode the file to the same pictures, at the times that were sent.
func TestBitstreams(t *testing.T) {
	for _, tc := range []struct {
		codec, file string
		how         string
	}{
		{"H264", "baseline.h264", ""},
		{"H264", "ids.h264", ""}, // other ids with each key frame
		{"H264", "pyramid.h264", ""},
		{"H264", "pyramid.h264", undeclared},
		{"H264", "sar.h264", ""},
		{"H265", "main.h265", ""},
		{"H265", "pyramid.h265", ""},
		{"H265", "pyramid.h265", undeclared},
		{"H265", "sar.h265", ""},
		{"H264", "pyramid.h264", byDecoder},
		{"H265", "pyramid.h265", byDecoder},
	} {
		t.Run(strings.TrimSpace(tc.file+" "+tc.how), func(t *testing.T) {
			path := filepath.Join("..", "codec", "testdata", tc.file)
			units, shown := readUnits(t, path)
			frames := send(t, tc.codec, units, shown, tc.how)
			stored := filepath.Join(t.TempDir(), "stored.mp4")
			if err := os.WriteFile(stored, store(t, frames), 0o644); err != nil {
				t.Fatal(err)
			}
			want, _ := pictures(t, path)
			got, times := pictures(t, stored)
			if !slices.Equal(got, want) {
				t.Errorf("ffmpeg decodes other pictures: %d, want %d", len(got), len(want))
			}
			for i, at := range times {
				if at != i*frameTicks {
					t.Errorf("picture %d is shown at %d, want %d", i, at, i*frameTicks)
				}
			}
			out := tool(t, "ffmpeg", "-v", "warning", "-i", stored, "-c", "copy", "-y", stored+".copy.mp4")
			squeezed := tc.how == undeclared && strings.Count(out, "\n") == 1 && strings.Contains(out, "DTS discontinuity")
			if out != "" && !squeezed {
				t.Errorf("ffmpeg copies it, but says\n%s", out)
			}
		})
	}
}

// readUnits returns the access units of a byte stream, and when each is shown, in
// pictures.
func readUnits(t *testing.T, path string) (units [][][]byte, shown []int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h265 := strings.HasSuffix(path, ".h265")
	for _, nal := range avc.ExtractNalusFromByteStream(data) {
		if !h265 && nal[0]&0x1f == 9 || h265 && nal[0]>>1 == 35 {
			units = append(units, nil)
		}
		units[len(units)-1] = append(units[len(units)-1], nal)
	}
	// Frames come in the order of being shown, with the place of their unit.
	var places []int
	out := tool(t, "ffprobe", "-v", "error", "-show_entries", "frame=pkt_pos", "-of", "csv=p=0", path)
	for line := range strings.FieldsSeq(out) {
		at, err := strconv.Atoi(strings.Trim(line, ","))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	sent := slices.Sorted(slices.Values(places))
	shown = make([]int, len(units))
	for i, at := range places {
		unit, _ := slices.BinarySearch(sent, at)
		shown[unit] = i
	}
	return units, shown
}

// send makes packets of the units and frames of those.
func send(t *testing.T, name string, units [][][]byte, shown []int, how string) []*media.Frame {
	t.Helper()
	c, _ := codec.Lookup(name)
	track := media.Track{Kind: media.Video, Codec: name, ClockRate: c.ClockRate}
	a, err := c.NewAssembler(track)
	if err != nil {
		t.Fatal(err)
	}
	if how == undeclared {
		a = silent{a}
	}
	d := depacket.New(track, a, depacket.Options{})
	var results []depacket.Result
	seq := uint16(0)
	for i, unit := range units {
		at := shown[i]
		if how == byDecoder {
			at = i
		}
		for j, nal := range unit {
			results = d.Push(&media.Packet{
				Seq: seq, Timestamp: uint32(at * frameTicks), Marker: j == len(unit)-1, Payload: nal, Arrival: capture,
			}, results)
			seq++
		}
	}
	var frames []*media.Frame
	for _, r := range d.Flush(results) {
		if r.Lost {
			t.Fatalf("lost: %v", r.Err)
		}
		frames = append(frames, r.Frame)
	}
	if len(frames) != len(units) {
		t.Fatalf("%d frames of %d units", len(frames), len(units))
	}
	return frames
}

// silent is an assembler of a bitstream that does not say that it reorders.
type silent struct{ codec.Assembler }

func (a silent) Assemble(payloads [][]byte) (codec.Unit, error) {
	u, err := a.Assembler.Assemble(payloads)
	u.Reorder = 0
	return u, err
}

// store writes frames in chunks of seven behind the one init segment that they
// have.
func store(t *testing.T, frames []*media.Frame) []byte {
	t.Helper()
	out, err := Init(1, frames[0].Format)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(frames); i += 7 {
		c := Chunk{TrackID: 1, Kind: media.Video, Sequence: uint32(i + 1), Time: media.Ticks(frames[i].Timestamp), First: i == 0}
		for j, f := range frames[i:min(i+7, len(frames))] {
			duration := uint32(frameTicks)
			if i+j+1 < len(frames) {
				duration = uint32(frames[i+j+1].Timestamp - f.Timestamp)
			}
			if f.Format != frames[0].Format {
				t.Fatalf("the format changed: %+v", f.Format)
			}
			c.Samples = append(c.Samples, Sample{Data: f.Data, Duration: duration, Key: f.Key, Composition: int32(f.Composition)})
		}
		out = c.Append(out)
	}
	return out
}

// pictures returns what ffmpeg decodes, and when it is shown, in ticks.
func pictures(t *testing.T, path string) (sums []string, times []int) {
	t.Helper()
	out := tool(t, "ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-")
	for line := range strings.Lines(out) {
		fields := strings.Split(line, ",")
		if line[0] == '#' || len(fields) != 6 {
			continue
		}
		at, err := strconv.Atoi(strings.TrimSpace(fields[2]))
		if err != nil {
			t.Fatal(err)
		}
		sums, times = append(sums, strings.TrimSpace(fields[5])), append(times, at)
	}
	return sums, times
}

// TestShape has the shape of pixels in the init segment, and the display's size.
func TestShape(t *testing.T) {
	for _, tc := range []struct {
		codec, file string
		sar         media.Ratio
		width       float64 // of the display, for pixels of 72x58
	}{
		{"H264", "sar.h264", media.Ratio{Num: 16, Den: 11}, 72 * 16 / 11.},
		{"H265", "sar.h265", media.Ratio{Num: 16, Den: 11}, 72 * 16 / 11.},
		{"H264", "baseline.h264", media.Ratio{}, 320},
	} {
		units, shown := readUnits(t, filepath.Join("..", "codec", "testdata", tc.file))
		f := send(t, tc.codec, units, shown, "")[0].Format
		if f.SAR != tc.sar {
			t.Errorf("%s: shape %v, want %v", tc.file, f.SAR, tc.sar)
		}
		data, err := Init(1, f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := mp4.DecodeFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		trak := file.Moov.Trak
		if got := float64(trak.Tkhd.Width) / (1 << 16); math.Abs(got-tc.width) > 1e-4 || int(trak.Tkhd.Height)>>16 != f.Height {
			t.Errorf("%s: tkhd %v wide, want %v", tc.file, got, tc.width)
		}
		entry := trak.Mdia.Minf.Stbl.Stsd.Children[0].(*mp4.VisualSampleEntryBox)
		var sar media.Ratio
		for _, box := range entry.Children {
			if pasp, ok := box.(*mp4.PaspBox); ok {
				sar = media.Ratio{Num: int(pasp.HSpacing), Den: int(pasp.VSpacing)}
			}
		}
		if sar != tc.sar || int(entry.Width) != f.Width {
			t.Errorf("%s: pasp %v, want %v", tc.file, sar, tc.sar)
		}
	}
}

// TestSpatialLayers has ffmpeg show one picture of those that a sender of layers marks
// as shown, the biggest, and that as it would be otherwise.
func TestSpatialLayers(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "codec", "testdata", "layers.ivf"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := codec.Lookup("VP9")
	a, err := c.NewAssembler(media.Track{Kind: media.Video, Codec: "VP9", ClockRate: c.ClockRate})
	if err != nil {
		t.Fatal(err)
	}
	var asSent, recorded []*media.Frame
	for at := 32; at < len(data); { // behind the header of the file
		picture := data[at+12:][:binary.LittleEndian.Uint32(data[at:])]
		at += 12 + len(picture)
		u, err := a.Assemble(layers(t, picture))
		if err != nil {
			t.Fatal(err)
		}
		f := media.Frame{Timestamp: int64(len(recorded) * frameTicks), Key: u.Key, Format: u.Format, Data: u.Data}
		recorded = append(recorded, &f)
		sent := f
		sent.Data = picture
		asSent = append(asSent, &sent)
	}
	var sums [2][]string
	for i, frames := range [][]*media.Frame{asSent, recorded} {
		path := filepath.Join(t.TempDir(), "layers.mp4")
		if err := os.WriteFile(path, store(t, frames), 0o644); err != nil {
			t.Fatal(err)
		}
		out := tool(t, "ffprobe", "-v", "error", "-show_entries", "frame=width,height", "-of", "csv=p=0", path)
		if big := strings.Count(out, "640,360"); big != len(frames) || i == 1 && len(strings.Fields(out)) != len(frames) {
			t.Errorf("%d of %d pictures have the size of the upper layer:\n%s", big, len(frames), out)
		}
		// Without scaling, which ffmpeg does where sizes change.
		out = tool(t, "ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-autoscale", "0", "-f", "framemd5", "-")
		for line := range strings.Lines(out) {
			if fields := strings.Split(line, ","); len(fields) == 6 && strings.TrimSpace(fields[4]) == "345600" {
				sums[i] = append(sums[i], fields[5])
			}
		}
	}
	if len(sums[0]) != len(recorded) || !slices.Equal(sums[0], sums[1]) {
		t.Errorf("ffmpeg decodes other pictures: %d and %d", len(sums[0]), len(sums[1]))
	}
}

// layers returns the payloads of a picture with a layer in each frame of its
// superframe (VP9 bitstream specification annex B).
func layers(t *testing.T, picture []byte) (payloads [][]byte) {
	t.Helper()
	marker := picture[len(picture)-1]
	if marker>>5 != 6 {
		t.Fatal("a picture is no superframe")
	}
	mag, count := int(marker>>3&3)+1, int(marker&7)+1
	index := picture[len(picture)-1-mag*count:]
	for id := range count {
		n := 0
		for i := range mag {
			n |= int(index[id*mag+i]) << (8 * i)
		}
		payloads = append(payloads, append([]byte{0x3c, byte(id << 1)}, picture[:n]...)) // L, F, B, E
		picture = picture[n:]
	}
	return payloads
}
