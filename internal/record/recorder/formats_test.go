package recorder

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

var update = flag.Bool("update", false, "write the examples of docs/formats anew")

// formats is where the formats are described.
var formats = filepath.Join("..", "..", "..", "docs", "formats")

// The examples in docs/formats are what a recorder writes: of a publisher that sends for
// 3 s, loses a packet, is away for 2 s, and sends for 2 s more.
func TestFormatsAreDocumented(t *testing.T) {
	g := newRig(t, func(o *Options) { o.NodeAlias = "live777-node-001" })
	withJournals(t, g.root, &g.recorder.o)
	start := g.clock.Now()
	first := g.publish("camera", source(t, "h264_small.h264"), source(t, "opus_mono.ogg"))
	g.start("camera", "")
	lines := g.journalFile()
	first.drop = func(k media.Kind, unit, _ int) bool { return k == media.Audio && unit == 75 }
	first.send(3 * time.Second)
	first.leave()
	g.clock.advance(start.Add(5 * time.Second))
	second := g.publish("camera", source(t, "h264_small.h264"), source(t, "opus_mono.ogg"))
	second.send(2 * time.Second)
	rec := g.stop("camera")

	checkExample(t, "recording-json.md", "json", g.object(path.Join(rec.RecordDir, infoName)))
	checkExample(t, "manifest.md", "xml", g.object(path.Join(rec.RecordDir, manifestName)))
	playlists := [][]byte{g.object(path.Join(rec.RecordDir, media.IndexName)), g.object(path.Join(rec.RecordDir, media.PlaylistName("video")))}
	checkExample(t, "manifest.md", "m3u8", bytes.Join(playlists, []byte("\n")))
	checkExample(t, "journal.md", "jsonl", lines())
}

// journalFile opens the only journal, and returns what reads all of it, also when it has
// been removed.
func (g *rig) journalFile() (read func() []byte) {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.root, journalFolder, "*"))
	if err != nil || len(files) != 1 {
		g.t.Fatalf("journals %q, %v", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = f.Close() })
	return func() []byte {
		var b bytes.Buffer
		if _, err := b.ReadFrom(f); err != nil {
			g.t.Fatal(err)
		}
		return b.Bytes()
	}
}

// object returns what is stored.
func (g *rig) object(key string) []byte {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.root, key))
	if err != nil {
		g.t.Fatal(err)
	}
	return data
}

// counted matches what a journal has counted of packets when a segment is closed: it
// depends on how many packets the recorder has read at once.
var counted = regexp.MustCompile(`(?m),"(received|lost)":[0-9]+`)

// checkExample compares the code block of a language in a document with what was written,
// or puts that there.
func checkExample(t *testing.T, document, language string, want []byte) {
	t.Helper()
	file := filepath.Join(formats, document)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```\n")
	found := block.FindAllSubmatchIndex(text, -1)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s, want one", document, len(found), language)
	}
	from, to := found[0][2], found[0][3]
	got, wanted := counted.ReplaceAll(text[from:to], nil), counted.ReplaceAll(want, nil)
	if bytes.Equal(got, wanted) {
		return
	}
	if !*update {
		t.Errorf("the example of %s is not what is written; run this test with -update.\n%s", document, firstDifference(got, wanted))
		return
	}
	if err := os.WriteFile(file, slices.Concat(text[:from], want, text[to:]), 0o600); err != nil {
		t.Fatal(err)
	}
}

// firstDifference returns the first lines that differ.
func firstDifference(got, want []byte) string {
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d has\n%s\nwant\n%s", i+1, strings.Join(a[min(i, len(a)):min(i+1, len(a))], ""), strings.Join(b[min(i, len(b)):min(i+1, len(b))], ""))
		}
	}
	return ""
}
