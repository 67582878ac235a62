package fmp4

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, or writes it there under -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update if that is meant)\n got %x\nwant %x", path, got, want)
	}
}

// sample makes a sample of n bytes that no other sample of the test shares.
func sample(fill byte, n int, duration uint32, key bool) Sample {
	return Sample{Data: bytes.Repeat([]byte{fill}, n), Duration: duration, Key: key}
}

// shifted returns s with a composition time offset.
func shifted(s Sample, offset int32) Sample {
	s.Composition = offset
	return s
}

var capture = time.Date(2026, 11, 22, 5, 0, 0, 250e6, time.UTC)

// chunks covers every form that moof can take.
var chunks = []struct {
	name      string
	chunk     Chunk
	trunFlags uint32
}{
	{"video_first", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 7, Time: 1<<33 + 5, First: true, Capture: capture,
		Samples: []Sample{sample(1, 9, 3000, true), sample(2, 4, 3000, false), sample(3, 5, 3000, false)},
	}, trunDataOffset | trunSizes | trunFirstFlags},
	{"video_next", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 8, Time: 9000, Capture: capture,
		Samples: []Sample{sample(1, 3, 3000, false), sample(2, 4, 3000, false)},
	}, trunDataOffset | trunSizes},
	{"video_durations", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 9, Time: 15000,
		Samples: []Sample{sample(1, 9, 2970, true), sample(2, 4, 3060, false)},
	}, trunDataOffset | trunSizes | trunFirstFlags | trunDurations},
	{"video_keys", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 10, Time: 15000,
		Samples: []Sample{sample(1, 9, 3000, true), sample(2, 4, 3000, false), sample(3, 9, 3000, true), sample(4, 1, 3000, false)},
	}, trunDataOffset | trunSizes | trunFlags},
	{"video_one", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 11, Time: 0, First: true,
		Samples: []Sample{sample(1, 9, 3000, true)},
	}, trunDataOffset | trunSizes},
	{"video_reordered", Chunk{
		TrackID: 1, Kind: media.Video, Sequence: 12, Time: 15000,
		Samples: []Sample{sample(1, 9, 3000, true), shifted(sample(2, 4, 3000, false), 6000), shifted(sample(3, 9, 3000, false), -3000), shifted(sample(4, 1, 3000, false), -3000)},
	}, trunDataOffset | trunSizes | trunFirstFlags | trunOffsets},
	{"audio", Chunk{
		TrackID: 2, Kind: media.Audio, Sequence: 3, Time: 960, First: true, Capture: capture,
		Samples: []Sample{sample(1, 3, 960, true), sample(2, 1, 960, true), sample(3, 5, 960, false)},
	}, trunDataOffset | trunSizes},
	{"audio_10ms", Chunk{
		TrackID: 2, Kind: media.Audio, Sequence: 4, Time: 960,
		Samples: []Sample{sample(1, 3, 960, true), sample(2, 1, 480, true)},
	}, trunDataOffset | trunSizes | trunDurations},
}

func TestChunk(t *testing.T) {
	for _, tc := range chunks {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.chunk.Append(nil)
			golden(t, tc.name+".m4s", got)
			if err := check(&tc.chunk, got); err != nil {
				t.Error(err)
			}
			f, err := mp4.DecodeFile(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			traf := f.Segments[0].Fragments[0].Moof.Traf
			if traf.Trun.Flags != tc.trunFlags {
				t.Errorf("trun flags %#x, want %#x", traf.Trun.Flags, tc.trunFlags)
			}
			if traf.Tfhd.Flags != 0x02002a {
				t.Errorf("tfhd flags %#x, want 0x02002a", traf.Tfhd.Flags)
			}
		})
	}
}

// check decodes data with an independent reader and compares it with c.
func check(c *Chunk, data []byte) error {
	f, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	want := []string{"moof", "mdat"}
	if !c.Capture.IsZero() {
		want = slices.Insert(want, 0, "prft")
	}
	if c.First {
		want = slices.Insert(want, 0, "styp")
	}
	if got := boxTypes(f.Children); !slices.Equal(got, want) {
		return fmt.Errorf("boxes %v, want %v", got, want)
	}
	if c.First {
		styp := f.Segments[0].Styp
		if styp.MajorBrand() != "msdh" || !slices.Equal(styp.CompatibleBrands(), []string{"msdh", "cmfs"}) {
			return fmt.Errorf("styp brands %s %v", styp.MajorBrand(), styp.CompatibleBrands())
		}
	}
	frag := f.Segments[0].Fragments[0]
	if err := checkPrft(c, frag.Prft); err != nil {
		return err
	}
	if frag.Moof.Mfhd.SequenceNumber != c.Sequence {
		return fmt.Errorf("sequence %d, want %d", frag.Moof.Mfhd.SequenceNumber, c.Sequence)
	}
	if err := checkTraf(c, frag.Moof.Traf); err != nil {
		return err
	}
	return checkSamples(c, frag)
}

func checkPrft(c *Chunk, prft *mp4.PrftBox) error {
	if prft == nil {
		return nil // its absence was checked with the box order
	}
	if prft.Version != 1 || prft.Flags != mp4.PrftTimeCaptured || prft.ReferenceTrackID != c.TrackID {
		return fmt.Errorf("prft %+v", prft)
	}
	if prft.MediaTime != uint64(c.Time) || uint64(prft.NTPTimestamp) != media.NTP(c.Capture) {
		return fmt.Errorf("prft times %+v, want %d at %v", prft, c.Time, c.Capture)
	}
	return nil
}

func checkTraf(c *Chunk, traf *mp4.TrafBox) error {
	want := []string{"tfhd", "tfdt", "trun"}
	if c.Kind == media.Audio {
		want = append(want, "sbgp")
	}
	if got := boxTypes(traf.Children); !slices.Equal(got, want) {
		return fmt.Errorf("traf has %v, want %v", got, want)
	}
	if traf.Tfhd.TrackID != c.TrackID || traf.Tfhd.SampleDescriptionIndex != 1 {
		return fmt.Errorf("tfhd %+v", traf.Tfhd)
	}
	if traf.Tfdt.Version != 1 || traf.Tfdt.BaseMediaDecodeTime() != uint64(c.Time) {
		return fmt.Errorf("tfdt version %d time %d, want version 1 time %d", traf.Tfdt.Version, traf.Tfdt.BaseMediaDecodeTime(), c.Time)
	}
	if c.Kind != media.Audio {
		return nil
	}
	shortest := slices.MinFunc(c.Samples, func(a, b Sample) int { return int(a.Duration) - int(b.Duration) }).Duration
	group := traf.Sbgp.GroupDescriptionIndices
	if traf.Sbgp.GroupingType != "roll" || len(group) != 1 || traf.Sbgp.SampleCounts[0] != uint32(len(c.Samples)) {
		return fmt.Errorf("sbgp %+v", traf.Sbgp)
	}
	roll := rollGroups().SampleGroupEntries[group[0]-1].(*mp4.RollSampleGroupEntry).RollDistance
	if back := -int(roll) * int(shortest); back < preRoll && shortest >= 120 {
		return fmt.Errorf("roll distance %d over samples of %d is %d ticks, want at least %d", roll, shortest, back, preRoll)
	}
	return nil
}

func checkSamples(c *Chunk, frag *mp4.Fragment) error {
	samples, err := frag.GetFullSamples(nil)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	if len(samples) != len(c.Samples) {
		return fmt.Errorf("%d samples, want %d", len(samples), len(c.Samples))
	}
	at := uint64(c.Time)
	for i, got := range samples {
		want := c.Samples[i]
		flags := uint32(0x01010000)
		if want.Key || c.Kind == media.Audio {
			flags = 0x02000000
		}
		if got.DecodeTime != at || got.Dur != want.Duration || got.Flags != flags || got.PresentationTime() != int64(at)+int64(want.Composition) {
			return fmt.Errorf("sample %d: time %d duration %d flags %#x, want %d %d %#x", i, got.DecodeTime, got.Dur, got.Flags, at, want.Duration, flags)
		}
		if !bytes.Equal(got.Data, want.Data) {
			return fmt.Errorf("sample %d: data %x, want %x", i, got.Data, want.Data)
		}
		at += uint64(want.Duration)
	}
	return nil
}

func boxTypes(boxes []mp4.Box) []string {
	var types []string
	for _, b := range boxes {
		types = append(types, b.Type())
	}
	return types
}

func TestChunkEmpty(t *testing.T) {
	c := Chunk{TrackID: 1, Kind: media.Video, First: true, Capture: capture}
	if got := c.Append([]byte("x")); string(got) != "x" {
		t.Errorf("a chunk without samples appends %x", got[1:])
	}
}

func TestChunkAppends(t *testing.T) {
	c := &chunks[0].chunk
	alone := c.Append(nil)
	if got := c.Append([]byte("before")); string(got) != "before"+string(alone) {
		t.Errorf("appended to a prefix the chunk is %x, alone it is %x", got, alone)
	}
	if cap(alone) > len(alone)+len(alone)/2 {
		t.Errorf("capacity %d for %d bytes: dst was grown by a wrong size", cap(alone), len(alone))
	}
	dst := make([]byte, 0, len(alone))
	if n := testing.AllocsPerRun(10, func() { c.Append(dst) }); n != 0 {
		t.Errorf("%v allocations with room in dst, want none", n)
	}
}

// FuzzAppend builds chunks of arbitrary samples and reads them back.
func FuzzAppend(f *testing.F) {
	f.Add(byte(0), uint32(1), int64(0), []byte{9, 1, 0, 3, 0, 0})
	f.Add(byte(9), uint32(1), int64(0), []byte{9, 1, 1, 3, 1, 6, 3, 1, 14})
	f.Add(byte(7), uint32(2), int64(1)<<40, []byte{1, 0, 3, 2, 1, 3, 3, 1, 3})
	f.Fuzz(func(t *testing.T, form byte, id uint32, at int64, raw []byte) {
		c := Chunk{TrackID: id, Kind: media.Video, Sequence: id, Time: media.Ticks(at & (1<<62 - 1)), First: form&1 != 0}
		if form&2 != 0 {
			c.Capture = capture.Add(time.Duration(at))
		}
		if form&4 != 0 {
			c.Kind = media.Audio
		}
		for ; len(raw) >= 3; raw = raw[3:] { // each three bytes are a sample: size, duration, key, offset
			s := sample(raw[0], int(raw[0]), uint32(raw[1])<<(raw[2]>>4), raw[2]&1 != 0)
			c.Samples = append(c.Samples, shifted(s, int32(int8(raw[2]<<4))>>5*int32(form>>3)))
		}
		got := c.Append(nil)
		if len(c.Samples) == 0 {
			if len(got) != 0 {
				t.Fatalf("no samples, but %d bytes", len(got))
			}
			return
		}
		if err := check(&c, got); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkAppend writes a chunk of 0.5 s of 30 Hz video at 2 Mbit/s.
func BenchmarkAppend(b *testing.B) {
	c := Chunk{TrackID: 1, Kind: media.Video, First: true, Capture: capture}
	for i := range 15 {
		c.Samples = append(c.Samples, sample(byte(i), 8333, 3000, i == 0))
	}
	dst := c.Append(nil)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = c.Append(dst[:0])
	}
}
