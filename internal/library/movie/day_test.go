package movie

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

// day is a storage with a recording of a day: 30 pictures a second of 2 Mbit/s, and Opus,
// in segments of four seconds. Its segments are made when they are asked for.
type day struct {
	storage.Backend
	objects  map[string][]byte // init segments and sample indexes
	gets     atomic.Int64
	sent     atomic.Int64
	segments int
}

const (
	daySegment = 4 // seconds
	dayChunk   = 200
)

var numberOf = regexp.MustCompile(`_seg_(\d+)\.`)

// tables returns the tables of a segment, and its size.
func (d *day) tables(kind media.Kind, number int) (tables []fmp4.Table, size int64) {
	samples, ticks, rate, bytes := 15, uint32(3000), 90000, 8000
	if kind == media.Audio {
		samples, ticks, rate, bytes = 25, 960, 48000, 160
	}
	at := media.Ticks((number - 1) * daySegment * rate)
	for c := range 2 * daySegment {
		size += dayChunk
		t := fmp4.Table{Time: at, Offset: size}
		for i := range samples {
			e := fmp4.Entry{Size: uint32(bytes + (number*31+c*7+i*13)%61), Duration: ticks, Key: kind == media.Audio || c == 0 && i == 0}
			t.Samples = append(t.Samples, e)
			size += int64(e.Size)
			at += media.Ticks(ticks)
		}
		tables = append(tables, t)
	}
	return tables, size
}

// Get implements storage.Backend.
func (d *day) Get(_ context.Context, key string, offset, _ int64) (io.ReadCloser, error) {
	d.gets.Add(1)
	name := path.Base(key)
	if data, ok := d.objects[name]; ok {
		return d.body(bytes.NewReader(data)), nil
	}
	if media.IsSampleIndex(name) {
		return nil, storage.ErrNotFound
	}
	number, err := strconv.Atoi(numberOf.FindStringSubmatch(name)[1])
	if err != nil {
		return nil, err
	}
	_, size := d.tables(kindOfName(name), number)
	return d.body(io.LimitReader(zeros{}, size-offset)), nil
}

func kindOfName(name string) media.Kind {
	if name[0] == 'a' {
		return media.Audio
	}
	return media.Video
}

// index makes the sample indexes of a track, and their summary.
func (d *day) index(prefix string) {
	var summary fmp4.Summaries
	defer func() { d.objects[media.SampleSummaryName(prefix+"_seg_")] = summary.Bytes() }()
	for first := 1; first <= d.segments; first += media.IndexGroup {
		var x fmp4.Index
		for n := first; n <= min(first+media.IndexGroup-1, d.segments); n++ {
			tables, size := d.tables(kindOfName(prefix), n)
			x.Add(fmp4.IndexedSegment{Number: n, Bytes: size, Tables: tables})
			summary.Fit(fmp4.Summarize(n, tables))
		}
		d.objects[media.SampleIndexName(prefix+"_seg_", first)] = x.Bytes()
	}
}

// Stat implements storage.Backend.
func (d *day) Stat(_ context.Context, key string) (storage.Object, error) {
	return storage.Object{Key: key}, nil
}

// body counts what is read of it.
func (d *day) body(r io.Reader) io.ReadCloser {
	return io.NopCloser(io.TeeReader(r, counting{&d.sent}))
}

type counting struct{ n *atomic.Int64 }

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// newDay returns a day, or a part of it, and its manifest.
func newDay(t testing.TB, long time.Duration) (*day, []byte) {
	t.Helper()
	d := &day{objects: map[string][]byte{}, segments: int(long.Seconds()) / daySegment}
	for name, f := range map[string]*media.Format{
		"v_init.m4s": {Codec: "VP9", RFC6381: "vp09.00.31.08", Timescale: 90000, Width: 1280, Height: 720, Private: []byte{0, 31, 0x82, 1, 1, 1, 0, 0}},
		"a_init.m4s": {Codec: "opus", RFC6381: "opus", Timescale: 48000, Channels: 2, Private: []byte{0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0}},
	} {
		init, err := fmp4.Init(1, f)
		if err != nil {
			t.Fatal(err)
		}
		d.objects[name] = init
		d.index(name[:1])
	}
	var sets strings.Builder
	for _, s := range []struct {
		kind, codecs, prefix string
		rate                 int
	}{{"video", "vp09.00.31.08", "v", 90000}, {"audio", "opus", "a", 48000}} {
		fmt.Fprintf(&sets, `<AdaptationSet contentType="%s"><Representation id="%s" bandwidth="1" codecs="%s" mimeType="%s/mp4"><SegmentTemplate timescale="%d"`+
			` startNumber="1" initialization="%s_init.m4s" media="%s_seg_$Number%%04d$.m4s"><SegmentTimeline><S t="0" d="%d" r="%d"/></SegmentTimeline></SegmentTemplate>`+
			`</Representation></AdaptationSet>`, s.kind, s.kind, s.codecs, s.kind, s.rate, s.prefix, s.prefix, daySegment*s.rate, d.segments-1)
	}
	return d, fmt.Appendf(nil, `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" availabilityStartTime="2026-11-30T00:00:00Z" minBufferTime="PT2S"`+
		` profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period id="p1" start="PT0S">%s</Period></MPD>`, sets.String())
}

// A clip of 30 s reads little beside its own bytes, and asks for little, wherever it is in
// a long recording.
func TestClipReadsLittle(t *testing.T) {
	d, manifest := newDay(t, 2*time.Hour)
	from := 90*time.Minute + 1300*time.Millisecond
	p, err := NewPlan([]Source{{Dir: "camera/1", Manifest: manifest, From: from, To: from + 30*time.Second}}, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := p.Open(t.Context(), p.Files[0], Opening{Backend: d})
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, m.NewReader(t.Context(), d))
	if beyond := d.sent.Load() - n; err != nil || beyond > 2_000_000 || d.gets.Load() > 40 {
		t.Errorf("%d bytes beyond the %d of the clip, %d requests, %v", beyond, n, d.gets.Load(), err)
	} else {
		t.Logf("%d bytes beyond the %d of the clip, %d requests", beyond, n, d.gets.Load())
	}
}

// BenchmarkDay makes the file of a day, up to its first byte, and reads a megabyte of its
// 23rd hour.
func BenchmarkDay(b *testing.B) {
	d, manifest := newDay(b, 24*time.Hour)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d.gets.Store(0)
		start := time.Now()
		m, _, err := Open(b.Context(), d, "camera/1", manifest, Title{})
		if err != nil {
			b.Fatal(err)
		}
		r := m.NewReader(b.Context(), d)
		if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds()*1000, "ms-to-first-byte")
		b.ReportMetric(float64(d.gets.Load()), "requests")
		start = time.Now()
		if _, err := r.Seek(m.Size()/24*22, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds()*1000, "ms-seek-1MB")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1e6, "MB-allocated")
		b.ReportMetric(float64(m.head.size)/1e6, "MB-head")
		b.ReportMetric(float64(m.Size())/1e9, "GB-file")
		_ = r.Close()
	}
}
