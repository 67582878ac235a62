package fmp4

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// exampleIndex is the index of two segments, with all ways to write key frames, and
// pictures that are shown in another order.
func exampleIndex(t *testing.T) (x Index, segments []IndexedSegment) {
	t.Helper()
	data, _ := scanSegment(media.Video)
	tables, err := Tables(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(tables) != 3 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	segments = []IndexedSegment{
		{Number: 1, Bytes: int64(len(data)), Tables: tables},
		{Number: 3, Bytes: 400, Tables: []Table{{Time: 200_000, Offset: 200, Samples: []Entry{
			{Size: 150, Duration: 3000, Composition: 3000, Key: true}, {Size: 50, Duration: 3000, Composition: -3000, Key: true},
		}}}},
	}
	for _, s := range segments {
		x.Add(s)
	}
	return x, segments
}

func TestIndex(t *testing.T) {
	x, want := exampleIndex(t)
	got, err := ReadIndex(x.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
}

// The example of docs/formats is what is written.
func TestIndexIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "formats", "sample-index.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```\n").FindSubmatch(text)
	if block == nil {
		t.Fatal("there is no example")
	}
	digits := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(string(block[1]), "")
	example, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
	if err != nil {
		t.Fatal(err)
	}
	x, want := exampleIndex(t)
	if !bytes.Equal(example, x.Bytes()) {
		t.Errorf("the example is\n%x\nwhat is written is\n%x", example, x.Bytes())
	}
	if got, err := ReadIndex(example); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the example reads as %+v, %v", got, err)
	}
}

// An index that is damaged, or of another version, is not read.
func TestDamagedIndex(t *testing.T) {
	x, _ := exampleIndex(t)
	whole := x.Bytes()
	for i := range whole {
		torn := bytes.Clone(whole)
		torn[i] ^= 0x20
		if _, err := ReadIndex(torn); err == nil {
			t.Errorf("byte %d may be anything", i)
		}
		if _, err := ReadIndex(whole[:i]); err == nil {
			t.Errorf("it is read where it ends at byte %d", i)
		}
	}
}

// Whatever is in an index with a right checksum: reading it ends, does not take much
// memory, and what is read lies within the segments.
func FuzzReadIndex(f *testing.F) {
	x := Index{}
	x.Add(IndexedSegment{Number: 1, Bytes: 400, Tables: []Table{{Time: 9, Offset: 200, Samples: []Entry{
		{Size: 150, Duration: 3000, Composition: 3000, Key: true}, {Size: 50, Duration: 1}, {Duration: 7, Key: true},
	}}}})
	f.Add(x.records)
	f.Fuzz(func(t *testing.T, records []byte) {
		data := append([]byte(indexMagic+"\x01"), records...)
		data = binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
		segments, err := ReadIndex(data)
		if err != nil {
			return
		}
		samples := 0
		var again Index
		for _, s := range segments {
			for _, table := range s.Tables {
				end := table.Offset
				for _, e := range table.Samples {
					end += int64(e.Size)
				}
				if table.Offset < 0 || end > s.Bytes {
					t.Fatalf("bytes %d to %d of a segment of %d", table.Offset, end, s.Bytes)
				}
				samples += len(table.Samples)
			}
			again.Add(s)
		}
		if samples > len(records) {
			t.Fatalf("%d samples of %d bytes", samples, len(records))
		}
		same, err := ReadIndex(again.Bytes())
		if err != nil || !reflect.DeepEqual(same, segments) {
			t.Fatalf("read %+v; what is written of it is read as %+v, %v", segments, same, err)
		}
	})
}
