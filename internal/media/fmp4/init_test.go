package fmp4

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// source is one track of real media, made by testdata/make.sh.
type source struct {
	name    string
	kind    media.Kind
	codec   string
	config  string // codec configuration box in the sample entry
	full    bool   // the box has a version and flags, which Format.Private leaves out
	entry   string // sample entry type
	format  media.Format
	samples []Sample
}

// sources reads all inputs, decoded by an independent reader.
func sources(t testing.TB) []source {
	t.Helper()
	list := []source{
		{name: "h264", kind: media.Video, codec: "H264", config: "avcC", entry: "avc1"},
		{name: "hevc", kind: media.Video, codec: "H265", config: "hvcC", entry: "hvc1"},
		{name: "av1", kind: media.Video, codec: "AV1", config: "av1C", entry: "av01"},
		{name: "vp9", kind: media.Video, codec: "VP9", config: "vpcC", full: true, entry: "vp09"},
		{name: "opus", kind: media.Audio, codec: "opus", config: "dOps", entry: "Opus"},
	}
	for i := range list {
		list[i].read(t)
	}
	return list
}

func (s *source) read(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", s.name+".mp4"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	trak := f.Moov.Trak
	s.format = media.Format{Codec: s.codec, Timescale: 90000, Private: s.private(t, trak.Mdia.Minf.Stbl.Stsd)}
	if s.kind == media.Audio {
		s.format.Timescale, s.format.Channels, s.format.RFC6381 = 48000, 2, "opus"
	} else {
		s.format.Width, s.format.Height = 320, 180
	}
	if got := trak.Mdia.Mdhd.Timescale; got != s.format.Timescale {
		t.Fatalf("%s: timescale %d, want %d", s.name, got, s.format.Timescale)
	}
	for _, segment := range f.Segments {
		for _, fragment := range segment.Fragments {
			samples, err := fragment.GetFullSamples(f.Moov.Mvex.Trex)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range samples {
				s.samples = append(s.samples, Sample{Data: x.Data, Duration: x.Dur, Key: x.IsSync()})
			}
		}
	}
}

// private extracts the payload of the codec configuration box.
func (s *source) private(t testing.TB, stsd *mp4.StsdBox) []byte {
	t.Helper()
	var children []mp4.Box
	switch entry := stsd.Children[0].(type) {
	case *mp4.VisualSampleEntryBox:
		children = entry.Children
	case *mp4.AudioSampleEntryBox:
		children = entry.Children
	}
	i := slices.IndexFunc(children, func(b mp4.Box) bool { return b.Type() == s.config })
	if i < 0 {
		t.Fatalf("%s has no %s", s.name, s.config)
	}
	var buf bytes.Buffer
	if err := children[i].Encode(&buf); err != nil {
		t.Fatal(err)
	}
	skip := boxHeaderSize
	if s.full {
		skip += 4
	}
	return buf.Bytes()[skip:]
}

func TestInit(t *testing.T) {
	for _, s := range sources(t) {
		t.Run(s.name, func(t *testing.T) {
			got, err := Init(3, &s.format)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, s.name+"_init.m4s", got)
			f, err := mp4.DecodeFile(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			checkInit(t, &s, f)
			if s.kind == media.Audio {
				checkRoll(t, f.Moov.Trak.Mdia.Minf.Stbl.Sgpd)
			}
			for _, name := range []string{"mp4ff", "ffmpeg", "Lavc", "Lavf"} {
				if bytes.Contains(got, []byte(name)) {
					t.Errorf("the file names a library: %s", name)
				}
			}
		})
	}
}

// checkInit holds the header against ISO/IEC 23000-19 7.3.1 and 7.5.
func checkInit(t *testing.T, s *source, f *mp4.File) {
	t.Helper()
	if f.Ftyp.MajorBrand() != "cmf2" || f.Ftyp.MinorVersion() != 0 ||
		!slices.Equal(f.Ftyp.CompatibleBrands(), []string{"cmf2", "cmfc", "iso6", "dash"}) {
		t.Errorf("ftyp %s %d %v", f.Ftyp.MajorBrand(), f.Ftyp.MinorVersion(), f.Ftyp.CompatibleBrands())
	}
	stbl := f.Moov.Trak.Mdia.Minf.Stbl
	header, tables := "vmhd", []string{"stsd", "stts", "stsc", "stsz", "stco"}
	if s.kind == media.Audio {
		header, tables = "smhd", append(tables, "sgpd")
	}
	for _, order := range []struct {
		of        string
		got, want []string
	}{
		{"file", boxTypes(f.Children), []string{"ftyp", "moov"}},
		{"moov", boxTypes(f.Moov.Children), []string{"mvhd", "trak", "mvex"}},
		{"trak", boxTypes(f.Moov.Trak.Children), []string{"tkhd", "mdia"}},
		{"mdia", boxTypes(f.Moov.Trak.Mdia.Children), []string{"mdhd", "hdlr", "minf"}},
		{"minf", boxTypes(f.Moov.Trak.Mdia.Minf.Children), []string{header, "dinf", "stbl"}},
		{"stbl", boxTypes(stbl.Children), tables},
		{"stsd", boxTypes(stbl.Stsd.Children), []string{s.entry}},
	} {
		if !slices.Equal(order.got, order.want) {
			t.Errorf("%s has %v, want %v", order.of, order.got, order.want)
		}
	}

	mvhd, tkhd, mdia := f.Moov.Mvhd, f.Moov.Trak.Tkhd, f.Moov.Trak.Mdia
	if mvhd.Timescale != 1000 || mvhd.Duration != 0 || mvhd.NextTrackID != 4 || mvhd.Rate != 0x10000 || mvhd.Volume != 0x100 {
		t.Errorf("mvhd %+v", mvhd)
	}
	if tkhd.TrackID != 3 || tkhd.Flags != 7 || tkhd.Duration != 0 ||
		int(tkhd.Width>>16) != s.format.Width || int(tkhd.Height>>16) != s.format.Height {
		t.Errorf("tkhd %+v", tkhd)
	}
	if mdia.Mdhd.Timescale != s.format.Timescale || mdia.Mdhd.Duration != 0 || mdia.Mdhd.GetLanguage() != "und" {
		t.Errorf("mdhd %+v", mdia.Mdhd)
	}
	handler := map[media.Kind]string{media.Video: "vide", media.Audio: "soun"}[s.kind]
	if mdia.Hdlr.HandlerType != handler || mdia.Hdlr.Name != s.kind.String() {
		t.Errorf("hdlr %+v", mdia.Hdlr)
	}
	if trex := f.Moov.Mvex.Trex; trex.TrackID != 3 || trex.DefaultSampleDescriptionIndex != 1 {
		t.Errorf("trex %+v", trex)
	}
}

// checkRoll wants 80 ms of pre-roll for every Opus packet duration.
func checkRoll(t *testing.T, sgpd *mp4.SgpdBox) {
	t.Helper()
	if sgpd.Version != 1 || sgpd.GroupingType != "roll" || sgpd.DefaultLength != 2 {
		t.Fatalf("sgpd %+v", sgpd)
	}
	for _, tc := range []struct {
		ms   float64
		want int16
	}{{60, -4}, {40, -4}, {20, -4}, {10, -8}, {5, -16}, {2.5, -32}} {
		group := RollGroup(uint32(tc.ms * 48))
		if got := sgpd.SampleGroupEntries[group-1].(*mp4.RollSampleGroupEntry).RollDistance; got != tc.want {
			t.Errorf("packets of %v ms: roll distance %d, want %d", tc.ms, got, tc.want)
		}
	}
}

func TestInitUnknownCodec(t *testing.T) {
	_, err := Init(1, &media.Format{Codec: "H261", Timescale: 90000})
	if fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("error %v of kind %v, want Unprocessable", err, fault.KindOf(err))
	}
}

// TestRebuild puts real media through Init and Chunk and has it read and decoded
// by ffmpeg.
func TestRebuild(t *testing.T) {
	for _, s := range sources(t) {
		t.Run(s.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "rebuilt.mp4")
			if err := os.WriteFile(file, rebuild(t, &s), 0o644); err != nil {
				t.Fatal(err)
			}
			if out := tool(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-"); out != "" {
				t.Errorf("ffmpeg decodes with complaints:\n%s", out)
			}
			want := fmt.Sprintf("codec_name=%s\nnb_read_frames=%d\n", s.name, len(s.samples))
			got := tool(t, "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames",
				"-of", "default=noprint_wrappers=1", file)
			if got != want {
				t.Errorf("ffprobe reads\n%swant\n%s", got, want)
			}
			sum := md5.New()
			for _, x := range s.samples {
				sum.Write(x.Data)
			}
			want = fmt.Sprintf("MD5=%x\n", sum.Sum(nil))
			if got := tool(t, "ffmpeg", "-v", "error", "-i", file, "-c", "copy", "-f", "md5", "-"); got != want {
				t.Errorf("sample data read back: %s, want %s", got, want)
			}
			checkTimes(t, &s, file)
		})
	}
}

// rebuild writes a source as segments of one second from Time 900000 on, in
// chunks of ten samples.
func rebuild(t *testing.T, s *source) []byte {
	t.Helper()
	out, err := Init(1, &s.format)
	if err != nil {
		t.Fatal(err)
	}
	at := media.Ticks(900000)
	for i := 0; i < len(s.samples); i += 10 {
		c := Chunk{
			TrackID: 1, Kind: s.kind, Sequence: uint32(i/10 + 1), Time: at, First: i%30 == 0,
			Capture: capture.Add(at.Duration(s.format.Timescale)),
			Samples: s.samples[i:min(i+10, len(s.samples))],
		}
		out = c.Append(out)
		for _, x := range c.Samples {
			at += media.Ticks(x.Duration)
		}
	}
	return out
}

// checkTimes wants every packet at the tick it was written for, with its sync
// flag.
func checkTimes(t *testing.T, s *source, file string) {
	t.Helper()
	out := tool(t, "ffprobe", "-v", "error", "-show_entries", "packet=pts,dts,flags", "-of", "csv=p=0", file)
	got := strings.Fields(out)
	if len(got) != len(s.samples) {
		t.Fatalf("%d packets, want %d", len(got), len(s.samples))
	}
	at := 900000
	for i, x := range s.samples {
		flags := "__"
		if x.Key {
			flags = "K_"
		}
		if want := fmt.Sprintf("%d,%d,%s", at, at, flags); strings.TrimSuffix(got[i], ",") != want {
			t.Fatalf("packet %d is %s, want %s", i, got[i], want)
		}
		at += int(x.Duration)
	}
}

// tool runs a command for at most a minute and returns all that it prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed: install the package ffmpeg", name)
	}
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
