package spool

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
)

// minio is a real server behind a proxy that breaks connections, in front of it a
// spool, and recordings that are made.
type minio struct {
	t      *testing.T
	server *miniotest.Server
	proxy  *miniotest.Proxy
	spool  *Spool
	want   map[string][]byte // last content by key
	n      int               // recordings made
}

func startMinIO(t *testing.T) *minio {
	t.Helper()
	m := &minio{t: t, server: miniotest.Start(t), want: map[string][]byte{}}
	m.proxy = miniotest.NewProxy(t, m.server.Endpoint)
	// What is written twice has two versions.
	if _, err := m.server.Client().PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket:                  &m.server.Bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	m.spool = openSpool(t, Options{Remote: openS3(t, m.server, m.proxy.Endpoint), Uploads: 8, Logger: slog.New(slog.DiscardHandler)})
	m.spool.tune.stall = time.Second
	m.spool.tune.settle = 2 * time.Second
	m.spool.Start()
	return m
}

func openS3(t testing.TB, server *miniotest.Server, endpoint string) *s3.Store {
	t.Helper()
	store, err := s3.New(t.Context(), s3.Options{
		Bucket: server.Bucket, Region: miniotest.Region, Endpoint: endpoint,
		AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey, DisableConfigLoad: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// record makes a recording of some segments. Nothing of it may take long, whatever
// the server does.
func (m *minio) record() {
	m.t.Helper()
	m.n++
	dir := fmt.Sprintf("cam%d/%d", m.n%3, m.n)
	start := time.Now()
	m.write(dir, media.InfoName, []byte(`{"status":"recording"}`))
	for i := range 6 {
		data := make([]byte, 50_000+rand.IntN(100_000))
		for j := range data {
			data[j] = byte(rand.Uint32())
		}
		m.write(dir, fmt.Sprintf("v_seg_%04d.m4s", i), data)
		m.put(dir, media.ManifestName, fmt.Appendf(nil, "%d", i+1))
	}
	m.put(dir, media.InfoName, []byte(`{"status":"complete"}`))
	if took := time.Since(start); took > m.spool.tune.ask+20*time.Second {
		m.t.Errorf("recording took %v while the server was out", took)
	}
}

func (m *minio) write(dir, name string, data []byte) {
	m.t.Helper()
	write(m.t, m.spool, path.Join(dir, name), string(data))
	m.want[path.Join(dir, name)] = data
}

func (m *minio) put(dir, name string, data []byte) {
	m.t.Helper()
	put(m.t, m.spool, path.Join(dir, name), string(data))
	m.want[path.Join(dir, name)] = data
}

// failing records until uploads fail, and something waits.
func (m *minio) failing() {
	m.t.Helper()
	before := m.spool.Status().Retries
	await.Until(m.t, "uploads fail", func() bool {
		if m.spool.Status().WaitingObjects < 200 {
			m.record()
		}
		return m.spool.Status().Retries >= before+3
	})
}

// check waits until all has been uploaded and holds the bucket against what was
// recorded: everything is there, and media once.
func (m *minio) check() {
	m.t.Helper()
	settled(m.t, m.spool)
	if st := m.spool.Status(); st.Conflicts != 0 || st.Failing {
		m.t.Errorf("Status = %+v", st)
	}
	client := m.server.Client()
	versions := map[string]int{}
	pages := awss3.NewListObjectVersionsPaginator(client, &awss3.ListObjectVersionsInput{Bucket: &m.server.Bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		for _, v := range page.Versions {
			versions[aws.ToString(v.Key)]++
		}
	}
	for key, want := range m.want {
		if n := versions[key]; n == 0 || n > 1 && path.Ext(key) == ".m4s" {
			m.t.Errorf("%s was stored %d times", key, n)
			continue
		}
		out, err := client.GetObject(m.t.Context(), &awss3.GetObjectInput{Bucket: &m.server.Bucket, Key: aws.String(key)})
		if err != nil {
			m.t.Errorf("%s: %v", key, err)
			continue
		}
		got, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			m.t.Errorf("%s has %d bytes that are not the %d that were recorded: %v", key, len(got), len(want), err)
		}
	}
	for key := range versions {
		if m.want[key] == nil {
			m.t.Errorf("%s is in the bucket, and nobody recorded it", key)
		}
	}
	m.want = map[string][]byte{}
	m.empty(client)
}

// empty takes everything out of the bucket, for the next fault.
func (m *minio) empty(client *awss3.Client) {
	m.t.Helper()
	pages := awss3.NewListObjectVersionsPaginator(client, &awss3.ListObjectVersionsInput{Bucket: &m.server.Bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		var ids []types.ObjectIdentifier
		for _, v := range page.Versions {
			ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		if len(ids) == 0 {
			continue
		}
		if _, err := client.DeleteObjects(m.t.Context(), &awss3.DeleteObjectsInput{
			Bucket: &m.server.Bucket, Delete: &types.Delete{Objects: ids},
		}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// isMedia matches uploads of segments.
func isMedia(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".m4s")
}

// TestMinIO: whatever happens to a real server and on the way to it, in the end
// everything that was recorded is in the bucket, once, and recording never waits.
func TestMinIO(t *testing.T) {
	m := startMinIO(t)
	key, secret := m.server.AccessKey, m.server.SecretKey
	put := miniotest.Is(http.MethodPut)
	faults := []struct {
		name       string
		begin, end func()
	}{
		{"killed", m.server.Kill, m.server.Restart},
		{"paused", m.server.Pause, m.server.Resume},
		{"slow down", m.inject(miniotest.Fault{Match: put, Status: http.StatusServiceUnavailable, Code: "SlowDown"}), m.proxy.Clear},
		{"error in mid-body", m.inject(miniotest.Fault{Match: isMedia, CutRequest: 20_000, Status: http.StatusInternalServerError, Code: "InternalError"}), m.proxy.Clear},
		{"cut in mid-body", m.inject(miniotest.Fault{Match: isMedia, CutRequest: 20_000}), m.proxy.Clear},
		{"answers lost", m.inject(miniotest.Fault{Match: put, LoseAnswer: true, Times: 20}), m.proxy.Clear},
		{"stalled", m.inject(miniotest.Fault{Match: put, Stall: true}), m.proxy.Clear},
		{"credentials refused", func() { m.server.RestartAs("somebody-else", "another-secret") }, func() { m.server.RestartAs(key, secret) }},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			m.t = t
			m.record()
			fault.begin()
			m.failing()
			fault.end()
			m.record()
			m.check()
		})
	}
	t.Run("slow", func(t *testing.T) {
		m.t = t
		m.proxy.Inject(miniotest.Fault{Match: isMedia, Rate: 100_000}) // 75 s for a recording, if it were one upload at a time
		for range 3 {
			m.record()
		}
		m.check()
		m.proxy.Clear()
	})
	m.t = t
}

func (m *minio) inject(f miniotest.Fault) func() { return func() { m.proxy.Inject(f) } }

// BenchmarkCatchUp is how fast what waited during an outage is uploaded to a server
// on this machine, in segments of 1.5 MB: 6 s of 2 Mbit/s.
func BenchmarkCatchUp(b *testing.B) {
	const objects, size = 200, 1_500_000
	server := miniotest.Start(b)
	data := strings.Repeat("x", size)
	for n := range b.N {
		b.StopTimer()
		s := openSpool(b, Options{Remote: openS3(b, server, server.Endpoint), Logger: slog.New(slog.DiscardHandler)})
		for i := range objects {
			write(b, s, fmt.Sprintf("cam%d/%d/seg%d", i%20, n, i), data)
		}
		b.StartTimer()
		s.Start()
		settled(b, s)
		b.StopTimer()
		closeSpool(b, s)
		b.StartTimer()
	}
	b.SetBytes(objects * size)
	b.ReportMetric(float64(objects*b.N)/b.Elapsed().Seconds(), "objects/s")
}

// BenchmarkOutage is what 100,000 objects that wait cost: memory, and time to choose
// one of them.
func BenchmarkOutage(b *testing.B) {
	const objects = 100_000
	for range b.N {
		s := &Spool{clock: clock{now: time.Now}, queue: queue{entries: map[string]*entry{}, folders: map[string]*folder{}}, run: running{wake: make(chan struct{}, 1)}}
		before := heap()
		for i := range objects {
			e := s.add(fmt.Sprintf("camera%02d/1762842203/v_seg_%05d.m4s", i%20, i/20), 1)
			s.enqueue(e)
		}
		b.ReportMetric(float64(heap()-before)/objects, "B/object")
		start := time.Now()
		for range 1000 {
			if e, _ := s.queue.pick(s.clock.ticks(time.Now()), false); e == nil {
				b.Fatal("nothing to upload")
			}
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/1000, "ns/pick")
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
