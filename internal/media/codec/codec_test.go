package codec

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
)

func TestTable(t *testing.T) {
	lastVideo := ""
	for _, c := range All() {
		got, ok := Lookup(c.Name)
		if !ok || got != c {
			t.Errorf("Lookup(%q) = %v, %v", c.Name, got, ok)
		}
		if (len(c.Fmtp) == 0) != (c.Check != nil) {
			t.Errorf("%s: a codec has Fmtp, or else a Check", c.Name)
		}
		if c.Recordable() != (c.Why == "") {
			t.Errorf("%s: a codec is recordable, or says Why not", c.Name)
		}
		if (c.Recordable() && c.Container == MP4) != (c.SampleEntry != nil) {
			t.Errorf("%s: a codec has a SampleEntry if it is recorded in MP4", c.Name)
		}
		if c.Kind == media.Video {
			lastVideo = c.Name
		}
	}
	if lastVideo != "VP8" {
		t.Errorf("the last video codec is %s, want VP8", lastVideo)
	}
	if c, ok := Lookup("OPUS"); !ok || c.Name != "opus" {
		t.Errorf(`Lookup("OPUS") = %v, %v`, c, ok)
	}
	if _, ok := Lookup("rtx"); ok {
		t.Error(`Lookup("rtx") found something`)
	}
}

func TestFmtpParam(t *testing.T) {
	for _, tc := range []struct{ fmtp, name, want string }{
		{"a=1;b=2", "b", "2"},
		{"a=1; B=2 ;c", "b", "2"},
		{"sprop=Zx==,aa==;b", "sprop", "Zx==,aa=="},
	} {
		if got, ok := fmtpParam(tc.fmtp, tc.name); !ok || got != tc.want {
			t.Errorf("fmtpParam(%q, %q) = %q, %v, want %q", tc.fmtp, tc.name, got, ok, tc.want)
		}
	}
	if _, ok := fmtpParam("ab=1", "a"); ok {
		t.Error("found a parameter by the start of its name")
	}
}

// assembler returns a new assembler of the codec name.
func assembler(tb testing.TB, name, fmtp string) Assembler {
	tb.Helper()
	c, ok := Lookup(name)
	if !ok || !c.Recordable() {
		tb.Fatalf("%s cannot be recorded", name)
	}
	a, err := c.NewAssembler(media.Track{Kind: c.Kind, Codec: c.Name, ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: fmtp})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// entry encodes the sample entry of f and decodes it again, as a B.
func entry[B mp4.Box](t *testing.T, f *media.Format) B {
	t.Helper()
	c, _ := Lookup(f.Codec)
	box, err := c.SampleEntry(f)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := box.Encode(&b); err != nil {
		t.Fatal(err)
	}
	got, err := mp4.DecodeBox(0, &b)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := got.(B)
	if !ok {
		t.Fatalf("the sample entry is a %T", got)
	}
	return e
}

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// readIVF returns the frames of an IVF file.
func readIVF(tb testing.TB, name string) (frames [][]byte) {
	tb.Helper()
	b := readFile(tb, name)[32:]
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b))
		frames = append(frames, b[12:12+n])
		b = b[12+n:]
	}
	return frames
}

// readOgg returns the packets of an Ogg file (RFC 3533 6) after its two
// headers (RFC 7845 3).
func readOgg(tb testing.TB, name string) (packets [][]byte) {
	tb.Helper()
	var packet []byte
	for b := readFile(tb, name); len(b) > 0; {
		segments := b[27 : 27+int(b[26])]
		b = b[27+len(segments):]
		for _, n := range segments {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	return packets[2:]
}

// cut splits data into payloads: a length byte before each, for fuzzers.
func cut(data []byte) (payloads [][]byte) {
	for len(data) > 1 {
		n := min(int(data[0])+1, len(data)-1)
		payloads = append(payloads, data[1:1+n])
		data = data[1+n:]
	}
	return payloads
}

// join is the inverse of cut, for payloads of 1 to 256 bytes.
func join(payloads ...[]byte) (data []byte) {
	for _, p := range payloads {
		data = append(data, byte(len(p)-1))
		data = append(data, p...)
	}
	return data
}

// checkUnit checks what holds for every assembled unit whatever came in.
func checkUnit(t *testing.T, u Unit, payloads [][]byte) {
	t.Helper()
	size := 0
	for _, p := range payloads {
		size += len(p) + 8
	}
	if len(u.Data) > 4*size+64 {
		t.Errorf("%d bytes were made of %d", len(u.Data), size)
	}
	if u.Key && (u.Format == nil || len(u.Data) == 0) {
		t.Errorf("key frame without a format or data: %+v", u)
	}
	if u.Format == nil {
		return
	}
	if c, _ := Lookup(u.Format.Codec); c.Container == MP4 {
		entry[mp4.Box](t, u.Format)
	}
}

// fuzzUnits assembles payloads as units of one packet each, and as one unit.
func fuzzUnits(t *testing.T, a Assembler, payloads [][]byte) {
	t.Helper()
	for _, n := range []int{1, len(payloads)} {
		for rest := payloads; len(rest) >= n && n > 0; rest = rest[n:] {
			a.Starts(rest[:n])
			if u, err := a.Assemble(rest[:n]); err == nil {
				checkUnit(t, u, rest[:n])
			}
		}
	}
}
