package movie

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path"
	"regexp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

const dayDir = "camera/1795996800"

// dayOnMinIO is a day in a bucket, of whose segments those are there that are read: nobody
// asks for the others.
type dayOnMinIO struct {
	storage.Store
	sent *atomic.Int64 // bytes from the server, headers too
}

// newDayOnMinIO stores the day, with segments of both tracks from one on.
func newDayOnMinIO(b *testing.B, first, count int) *dayOnMinIO {
	b.Helper()
	server := miniotest.Start(b)
	endpoint, sent := counted(b, server.Endpoint)
	store, err := s3.New(b.Context(), s3.Options{
		Bucket: server.Bucket, Root: "/live777", Region: miniotest.Region, Endpoint: endpoint,
		AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey, DisableConfigLoad: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	d, manifest := newDay(b, 24*time.Hour)
	d.objects[media.ManifestName] = eachSegment(manifest)
	for name, data := range d.objects {
		if err := store.Put(b.Context(), path.Join(dayDir, name), bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
	for n := first; n < first+count; n++ {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			_, size := d.tables(kind, n)
			name := media.SegmentName(kind.String()[:1]+"_seg_$Number%04d$.m4s", n)
			if err := store.Put(b.Context(), path.Join(dayDir, name), io.LimitReader(zeros{}, size), size); err != nil {
				b.Fatal(err)
			}
		}
	}
	return &dayOnMinIO{store, sent}
}

var timelineRun = regexp.MustCompile(`<S t="0" d="(\d+)" r="\d+"/>`)

// eachSegment names each segment of a timeline, as where no two of them last equally long.
func eachSegment(manifest []byte) []byte {
	return timelineRun.ReplaceAllFunc(manifest, func(run []byte) []byte {
		d := timelineRun.FindSubmatch(run)[1]
		return bytes.Repeat([]byte(`<S d="`+string(d)+`"/>`), 24*3600/daySegment)
	})
}

// counted passes connections on to a server, and counts what it sends.
func counted(b *testing.B, endpoint string) (address string, sent *atomic.Int64) {
	b.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		b.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	sent = new(atomic.Int64)
	var conns sync.WaitGroup
	b.Cleanup(conns.Wait)
	b.Cleanup(func() { _ = listener.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
			if err != nil {
				_ = client.Close()
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = errors.Join(client.Close(), server.Close()) })
			conns.Go(func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			})
			conns.Go(func() {
				defer stop()
				_, _ = io.Copy(client, io.TeeReader(server, counting{sent}))
				_ = client.Close()
			})
		}
	})
	return "http://" + listener.Addr().String(), sent
}

// open makes the file of the day, or of a part of it, from nothing.
func (d *dayOnMinIO) open(b *testing.B, from, to time.Duration) *Movie {
	b.Helper()
	manifest, err := storage.ReadAll(b.Context(), d, path.Join(dayDir, media.ManifestName), media.MaxManifest)
	if err != nil {
		b.Fatal(err)
	}
	p, err := NewPlan([]Source{{Dir: dayDir, Manifest: manifest, From: from, To: to}}, Choice{})
	if err != nil {
		b.Fatal(err)
	}
	m, missing, err := p.Open(b.Context(), p.Files[0], Opening{Backend: d})
	if err != nil || len(missing) > 0 {
		b.Fatal(missing, err)
	}
	return m
}

// read reads some bytes of a file from one on.
func (d *dayOnMinIO) read(b *testing.B, m *Movie, from, count int64) {
	b.Helper()
	r := m.NewReader(b.Context(), d)
	if _, err := r.Seek(from, io.SeekStart); err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, count); err != nil {
		b.Fatal(err)
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDayOnMinIO makes the file of a day in a bucket, reads its head and its 23rd hour,
// and a clip of that. Each turn begins with nothing known.
func BenchmarkDayOnMinIO(b *testing.B) {
	const hour = 3600 / daySegment
	d := newDayOnMinIO(b, 22*hour-20, 60)
	all := turns{}
	ms := func(what string, since time.Time) {
		all.add("ms-"+what, float64(time.Since(since).Microseconds())/1000)
	}
	for b.Loop() {
		before, peak := heap(), watchHeap()
		start := time.Now()
		m := d.open(b, 0, 0)
		d.read(b, m, 0, 1)
		ms("to-first-byte", start)
		all.add("MB-kept", float64(heap()-before)/1e6)

		start = time.Now()
		d.read(b, m, m.Size()/24*22, 1<<20)
		ms("to-1MB-of-23rd-hour", start)
		start = time.Now()
		d.read(b, m, 0, m.head.size)
		ms("to-all-of-head", start)
		all.add("MB-kept-after-all-of-head", float64(heap()-before)/1e6)
		all.add("MB-at-most", float64(peak()-before)/1e6)

		start = time.Now()
		fresh := d.open(b, 0, 0)
		d.read(b, fresh, fresh.Size()/24*22, 1)
		ms("to-a-byte-of-23rd-hour-first", start)
		runtime.KeepAlive(m)

		start, sent := time.Now(), d.sent.Load()
		clip := d.open(b, 22*time.Hour+21300*time.Millisecond, 22*time.Hour+51300*time.Millisecond)
		d.read(b, clip, 0, clip.Size())
		ms("of-clip", start)
		all.add("MB-beyond-clip", float64(d.sent.Load()-sent-clip.Size())/1e6)
		all.add("MB-clip", float64(clip.Size())/1e6)
	}
	all.report(b)
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return int64(now.HeapAlloc)
}

// watchHeap returns a function that ends watching, and returns the most that was in use,
// with what waited for the collector.
func watchHeap() func() int64 {
	end, most := make(chan struct{}), make(chan int64)
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for peak := int64(0); ; {
			metrics.Read(sample)
			peak = max(peak, int64(sample[0].Value.Uint64()))
			select {
			case <-tick.C:
			case <-end:
				most <- peak
				return
			}
		}
	}()
	return func() int64 {
		close(end)
		return <-most
	}
}

// turns are what was measured in each turn of a benchmark, by its unit.
type turns map[string][]float64

func (t turns) add(unit string, v float64) { t[unit] = append(t[unit], v) }

// report reports the median and, of times, the least.
func (t turns) report(b *testing.B) {
	b.Helper()
	for unit, list := range t {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], unit)
		if strings.HasPrefix(unit, "ms-") {
			b.ReportMetric(list[0], unit+"-least")
		}
	}
	b.ReportMetric(0, "ns/op") // all of it together says nothing
}
