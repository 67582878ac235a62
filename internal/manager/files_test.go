//go:build !norecorder

package manager

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// soundPeriod is a Period of sound in segments of two seconds.
const soundPeriod = `<Period id="p1" start="PT0S"><AdaptationSet id="2" contentType="audio">
<Representation id="audio" bandwidth="64000" codecs="%s" mimeType="audio/mp4">
<SegmentTemplate timescale="48000" presentationTimeOffset="0" startNumber="1" initialization="a_init.m4s" media="a_seg_$Number%%04d$.m4s">
<SegmentTimeline><S t="0" d="96000" r="%d"/></SegmentTimeline></SegmentTemplate>
</Representation></AdaptationSet></Period>`

// sound is a recording of the stream "camera": so many segments of two seconds from a
// second of archived on.
type sound struct {
	dir      string
	from     int
	segments int
	codecs   string
	gaps     []media.Gap
	lost     []int // segments that the storage has lost, counted from 0
}

// packet is one of the hundred in a segment.
func (s *sound) packet(segment, i int) string {
	return fmt.Sprintf("packet %d of segment %d of %s", i, segment, s.dir) + strings.Repeat(".", 500)
}

// frames returns the packets of some segments, one after the other.
func (s *sound) frames(from, to int) string {
	var all strings.Builder
	for segment := from; segment < to; segment++ {
		for i := range 100 {
			all.WriteString(s.packet(segment, i))
		}
	}
	return all.String()
}

// objects returns what is stored of the recording, by name.
func (s *sound) objects(t *testing.T, r media.Recording) map[string][]byte {
	t.Helper()
	stereo := []byte{0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0} // dOps
	init, err := fmp4.Init(1, &media.Format{Codec: "opus", Timescale: 48000, Channels: 2, Private: stereo})
	if err != nil {
		t.Fatal(err)
	}
	info, err := media.EncodeRecording(r)
	if err != nil {
		t.Fatal(err)
	}
	const head = `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" availabilityStartTime="%s" mediaPresentationDuration="PT%dS" minBufferTime="PT2S" profiles="urn:mpeg:dash:profile:isoff-live:2011">`
	all := map[string][]byte{
		media.InfoName: info, "a_init.m4s": init,
		media.ManifestName: fmt.Appendf(nil, head+soundPeriod+"</MPD>", r.Start.Format(time.RFC3339Nano), 2*s.segments, s.codecs, s.segments-1),
	}
	for n := range s.segments {
		if slices.Contains(s.lost, n) {
			continue
		}
		c := fmp4.Chunk{TrackID: 1, Kind: media.Audio, Sequence: uint32(n + 1), Time: media.Ticks(n) * 96000, First: true}
		for i := range 100 {
			c.Samples = append(c.Samples, fmp4.Sample{Data: []byte(s.packet(n, i)), Duration: 960, Key: true})
		}
		all[fmt.Sprintf("a_seg_%04d.m4s", n+1)] = c.Append(nil)
	}
	return all
}

// store makes a recording of a node, long ago.
func (s *sound) store(t *testing.T, alias string, store storage.Backend, db *catalogue.DB) {
	t.Helper()
	start := archived.Add(time.Duration(s.from) * time.Second)
	end := start.Add(time.Duration(2*s.segments) * time.Second)
	r := media.Recording{
		Stream: "camera", RecordID: media.RecordID(s.dir), RecordDir: s.dir, MPDPath: s.dir + "/" + media.ManifestName, Node: alias,
		Start: start, End: &end, Duration: end.Sub(start).Seconds(), DurableThrough: end.Sub(start).Seconds(), Status: media.StatusComplete,
		Tracks: []media.RecordingTrack{{Kind: "audio", Codec: "opus", RFC6381: s.codecs, Recorded: true, Gaps: s.gaps}},
	}
	if len(s.gaps) > 0 {
		r.Status, r.Reason = media.StatusDegraded, "audio: packets were lost"
	}
	for name, data := range s.objects(t, r) {
		if err := store.Put(t.Context(), s.dir+"/"+name, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// startSounds runs a node that has made recordings of sound long ago.
func startSounds(t *testing.T, alias string, all ...sound) *server {
	t.Helper()
	dir := t.TempDir()
	store, err := fs.New(filepath.Join(dir, "storage"), fs.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	db := openCatalogue(t, "sqlite://"+filepath.Join(dir, "live777.db"))
	for _, s := range all {
		s.store(t, alias, store, db)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return startNode(t, alias, dir, func(c *config.Config) { c.Recorder.NodeAlias = alias })
}

// counting answers as a node, and counts the bytes of segments that the node answers with.
func counting(t *testing.T, n *server) (as *server, sent *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(n.url)
	if err != nil {
		t.Fatal(err)
	}
	sent = &atomic.Int64{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if strings.Contains(r.Request.URL.Path, "_seg_") && r.Request.Method == http.MethodGet {
			sent.Add(r.ContentLength)
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return &server{t: t, url: front.URL, token: n.token}, sent
}

// length is the Content-Length of an answer.
func (a answer) length() int {
	n, _ := strconv.Atoi(a.Header.Get("Content-Length"))
	return n
}

// spanURL is the file of a span of "camera", from one second of archived to another.
func spanURL(from, to int) string {
	return fmt.Sprintf("/api/archive/camera/%d/%d/%s", archived.Unix()+int64(from), archived.Unix()+int64(to), media.FileName)
}

// A span over the recordings of several nodes is one file, of the better copy at each time,
// of which a manager asks the nodes for no more than is wanted of it.
func TestFileOfNodes(t *testing.T) {
	t.Parallel()
	whole := sound{"camera/1", 0, 3, "opus", nil, nil}
	lossy := sound{"camera/1", 0, 6, "opus", []media.Gap{{Start: 1, Duration: 4, Cause: "loss"}}, nil}
	other := sound{"camera/2", 12, 2, "mp4a.40.2", nil, nil}
	a, b := startSounds(t, "a", whole), startSounds(t, "b", lossy, other)
	counted, sent := counting(t, a)
	m := startManager(t, t.TempDir(), map[string]*server{"a": counted, "b": b}, nil)
	until(t, "the manager has all recordings", func() bool { return len(m.recordings("camera")) == 3 })

	resp, file := m.request(http.MethodGet, spanURL(0, 12), "")
	if resp.StatusCode != http.StatusOK || resp.length() != len(file) || resp.Header.Get("X-Live777-Node") != "a, b" {
		t.Fatalf("%d, %d bytes of %d, of %s", resp.StatusCode, len(file), resp.length(), resp.Header.Get("X-Live777-Node"))
	}
	if !strings.Contains(file, whole.frames(0, 3)+lossy.frames(3, 6)) {
		t.Error("the frames are not those of a's segments, and then of b's")
	}
	for _, name := range []string{media.ManifestName, media.IndexName} {
		url := strings.TrimSuffix(spanURL(0, 12), media.FileName) + name
		if resp, _ := m.request(http.MethodGet, url, ""); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Live777-Node") != "a, b" {
			t.Errorf("%s: %d, of %q", name, resp.StatusCode, resp.Header.Get("X-Live777-Node"))
		}
	}
	head, _ := m.request(http.MethodHead, spanURL(0, 12), "")
	if head.StatusCode != http.StatusOK || head.length() != resp.length() || head.Header.Get("ETag") != resp.Header.Get("ETag") {
		t.Errorf("HEAD: %d, %d bytes, ETag %s", head.StatusCode, head.length(), head.Header.Get("ETag"))
	}
	for range 5 {
		from := rand.IntN(len(file))
		to := from + rand.IntN(len(file)-from)
		resp, part := m.request(http.MethodGet, spanURL(0, 12), "", "Range", fmt.Sprintf("bytes=%d-%d", from, to), "If-Range", head.Header.Get("ETag"))
		if resp.StatusCode != http.StatusPartialContent || part != file[from:to+1] {
			t.Errorf("bytes %d to %d: %d, %d bytes", from, to, resp.StatusCode, len(part))
		}
	}
	sent.Store(0)
	middle := strings.Index(file, whole.packet(1, 50))
	if _, part := m.request(http.MethodGet, spanURL(0, 12), "", "Range", fmt.Sprintf("bytes=%d-%d", middle, middle+9)); part != file[middle:middle+10] {
		t.Errorf("ten bytes in the middle: %q", part)
	}
	if n := sent.Load(); n == 0 || n > int64(len(whole.frames(1, 2))) {
		t.Errorf("the node was asked for %d bytes of segments, to send 10", n)
	}
	for _, part := range []struct {
		node     *server
		from, to int
	}{{a, 1, 5}, {b, 6, 12}} {
		_, want := part.node.request(http.MethodGet, spanURL(part.from, part.to), "")
		if resp, got := m.request(http.MethodGet, spanURL(part.from, part.to), ""); resp.StatusCode != http.StatusOK || got != want || len(got) < 1000 {
			t.Errorf("from %d to %d: %d, %d bytes; the node itself answers with %d", part.from, part.to, resp.StatusCode, len(got), len(want))
		}
	}
	filesOfCodecs(t, m)
	b.stop()
	until(t, "it is seen that the node is away", func() bool {
		resp, said := m.request(http.MethodGet, spanURL(0, 12), "")
		return resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(said, `node \"b\"`)
	})
	if resp, _ := m.request(http.MethodGet, spanURL(0, 6), ""); resp.StatusCode != http.StatusOK {
		t.Errorf("what the other node has: %d", resp.StatusCode)
	}
}

// filesOfCodecs asks for a span in which the codec changes.
func filesOfCodecs(t *testing.T, m *server) {
	t.Helper()
	if resp, said := m.request(http.MethodGet, spanURL(2, 16), ""); resp.StatusCode != http.StatusConflict || !strings.Contains(said, "what can be had") {
		t.Errorf("one file of two codecs: %d %s", resp.StatusCode, said)
	}
	resp, data := m.request(http.MethodGet, spanURL(2, 16)+"?split=true", "")
	z, err := zip.NewReader(strings.NewReader(data), int64(len(data)))
	if err != nil || len(z.File) != 2 || resp.length() != len(data) {
		t.Fatalf("several files: %d, %d bytes of %d, %v", resp.StatusCode, len(data), resp.length(), err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != int64(f.UncompressedSize64) {
			t.Errorf("%s: %d bytes, %v", f.Name, n, err)
		}
	}
}

// Objects are read from where they are, also from a node that knows no ranges.
func TestReadObjects(t *testing.T) {
	l := newTestLibrary(t, false)
	l.add("cam/old", time.Hour, 10, "v_seg_0001.m4s")
	l.add("cam/running", 0, 0)
	for key, want := range map[string]string{"cam/old/v_seg_0001.m4s": "storage says v_seg_0001.m4s", "cam/running/v_seg_0002.m4s": "node says v_seg_0002.m4s"} {
		o, err := objects{l.library}.Stat(t.Context(), key)
		if err != nil || o.Size != int64(len(want)) || o.Key != key {
			t.Errorf("%s is %+v, %v", key, o, err)
		}
		for _, part := range [][2]int64{{0, -1}, {5, 4}, {5, -1}, {100, 4}, {3, 0}} {
			r, err := objects{l.library}.Get(t.Context(), key, part[0], part[1])
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			text := want[min(int(part[0]), len(want)):]
			if part[1] >= 0 {
				text = text[:min(int(part[1]), len(text))]
			}
			if data, err := io.ReadAll(r); err != nil || string(data) != text {
				t.Errorf("%s from %d on, %d bytes: %q, %v; want %q", key, part[0], part[1], data, err, text)
			}
			_ = r.Close()
		}
	}
	for _, key := range []string{"cam/old/v_seg_0002.m4s", "cam/running/v_seg_0009.m4s", "cam/none/v_seg_0001.m4s"} {
		if _, err := (objects{l.library}).Get(t.Context(), key, 0, 5); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v, want storage.ErrNotFound", key, err)
		}
	}
}
