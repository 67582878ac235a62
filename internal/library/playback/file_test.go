package playback

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
)

const fileDir = "door/1762842777" // of a sealed recording of sound

// soundManifest names two segments of two seconds.
const soundManifest = `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" availabilityStartTime="2026-11-30T13:30:00.500Z" mediaPresentationDuration="PT4S" minBufferTime="PT2S" profiles="urn:mpeg:dash:profile:isoff-live:2011">
<Period id="p1" start="PT0S"><AdaptationSet id="2" contentType="audio">
<Representation id="a" bandwidth="64000" codecs="opus" mimeType="%s">
<SegmentTemplate timescale="48000" presentationTimeOffset="0" startNumber="1" initialization="a_init.m4s" media="a_seg_$Number%%04d$.m4s">
<SegmentTimeline><S t="0" d="96000" r="1"/></SegmentTimeline></SegmentTemplate>
</Representation></AdaptationSet></Period></MPD>`

// counted counts what is asked of the storage.
type counted struct {
	storage.Backend
	stats atomic.Int32
}

func (c *counted) Stat(ctx context.Context, key string) (storage.Object, error) {
	c.stats.Add(1)
	return c.Backend.Stat(ctx, key)
}

// setupFile returns a fixture with a recording of sound in fileDir.
func setupFile(t *testing.T, mime string) (*fixture, *counted) {
	t.Helper()
	backend := &counted{}
	f := setup(t, func(b storage.Backend) storage.Backend {
		backend.Backend = b
		return backend
	})
	rec := media.Recording{
		Stream: "door: west", RecordID: path.Base(fileDir), RecordDir: fileDir, MPDPath: fileDir + "/manifest.mpd",
		Start: time.Date(2026, 11, 30, 13, 30, 0, 0, time.UTC), Status: media.StatusComplete,
	}
	if err := f.db.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	stereo := []byte{0, 2, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0} // dOps
	init, err := fmp4.Init(1, &media.Format{Codec: "opus", Timescale: 48000, Channels: 2, Private: stereo})
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, fileDir+"/a_init.m4s", string(init))
	for i := range 2 {
		c := fmp4.Chunk{TrackID: 1, Kind: media.Audio, Sequence: uint32(i + 1), Time: media.Ticks(i) * 96000, First: true}
		for j := range 100 {
			c.Samples = append(c.Samples, fmp4.Sample{Data: fmt.Appendf(nil, "packet %d of segment %d", j, i), Duration: 960, Key: true})
		}
		f.put(t, fmt.Sprintf("%s/a_seg_%04d.m4s", fileDir, i+1), string(c.Append(nil)))
	}
	f.put(t, fileDir+"/manifest.mpd", fmt.Sprintf(soundManifest, mime))
	return f, backend
}

// A recording is one file, with ranges and conditions, that is made once.
func TestFile(t *testing.T) {
	f, backend := setupFile(t, "audio/mp4")
	whole := f.get(t, http.MethodGet, fileDir+"/file.mp4")
	if whole.status != http.StatusOK || int64(len(whole.body)) != whole.length || !strings.Contains(whole.body, "packet 99 of segment 1") {
		t.Fatalf("status %d, %d bytes of %d", whole.status, len(whole.body), whole.length)
	}
	for name, want := range map[string]string{"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "Cache-Control": cacheValidate} {
		if got := whole.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	etag := whole.header.Get("ETag")
	stats := backend.stats.Load()
	head := f.get(t, http.MethodHead, fileDir+"/file.mp4")
	if head.status != http.StatusOK || head.length != whole.length || head.header.Get("ETag") != etag {
		t.Errorf("HEAD: %d, %d bytes, ETag %s, want %s", head.status, head.length, head.header.Get("ETag"), etag)
	}
	part := f.get(t, http.MethodGet, fileDir+"/file.mp4", "Range", "bytes=100-5000", "If-Range", etag)
	if part.status != http.StatusPartialContent || part.body != whole.body[100:5001] {
		t.Errorf("a range: %d, %d bytes", part.status, len(part.body))
	}
	if other := f.get(t, http.MethodGet, fileDir+"/file.mp4", "Range", "bytes=100-", "If-Range", `"other"`); other.body != whole.body {
		t.Errorf("a range of another file: %d, %d bytes", other.status, len(other.body))
	}
	if same := f.get(t, http.MethodGet, fileDir+"/file.mp4", "If-None-Match", etag); same.status != http.StatusNotModified {
		t.Errorf("what the client has: %d", same.status)
	}
	if behind := f.get(t, http.MethodGet, fileDir+"/file.mp4", "Range", fmt.Sprintf("bytes=%d-", whole.length)); behind.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range behind the end: %d", behind.status)
	}
	if now := backend.stats.Load(); now != stats {
		t.Errorf("the segments were looked into again: %d more requests", now-stats)
	}
}

// The file is saved by a name that says what and when, in the viewer's zone.
func TestFileName(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	for zone, want := range map[string]string{
		"": "door_ west 2026-11-30 13.30.00.mp4", "Europe/Berlin": "door_ west 2026-11-30 14.30.00.mp4",
	} {
		got := f.get(t, http.MethodHead, fileDir+"/file.mp4?tz="+zone)
		kind, params, err := mime.ParseMediaType(got.header.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || params["filename"] != want {
			t.Errorf("in %q it is %q, %v; want %q", zone, params["filename"], err, want)
		}
	}
	if got := f.get(t, http.MethodGet, fileDir+"/file.mp4?tz=Nowhere"); got.status != http.StatusBadRequest {
		t.Errorf("in a zone that there is not: %d", got.status)
	}
}

// What cannot be one file is refused, and what is nobody's recording is not found.
func TestNoFile(t *testing.T) {
	f, _ := setupFile(t, "audio/webm")
	if got := f.get(t, http.MethodGet, fileDir+"/file.mp4"); got.status != http.StatusConflict {
		t.Errorf("a file of WebM: %d", got.status)
	}
	if got := f.get(t, http.MethodGet, "not/of/a/file.mp4"); got.status != http.StatusNotFound {
		t.Errorf("a file of no recording: %d", got.status)
	}
}

// Of a recording that runs the file has what is closed and says so, and another validator
// when there is more.
func TestFileOfARunningRecording(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	f.update(t, func(r *media.Recording) { r.Status = media.StatusRecording })
	key := fileDir + "/manifest.mpd"
	manifest := fmt.Sprintf(soundManifest, "audio/mp4")
	f.live.mu.Lock()
	f.live.manifests[key] = strings.Replace(manifest, ` r="1"`, "", 1)
	f.live.mu.Unlock()
	first := f.get(t, http.MethodGet, fileDir+"/file.mp4")
	if first.status != http.StatusOK || strings.Contains(first.body, "of segment 1") || !strings.Contains(first.body, "packet 99 of segment 0") {
		t.Fatalf("%d, %d bytes", first.status, len(first.body))
	}
	const part = "the part of a running recording that was closed"
	if !strings.Contains(first.body, part) {
		t.Error("it does not say that there will be more")
	}
	f.live.mu.Lock()
	f.live.manifests[key] = manifest
	f.live.mu.Unlock()
	more := f.get(t, http.MethodGet, fileDir+"/file.mp4", "If-Range", first.header.Get("ETag"), "Range", "bytes=10-")
	if more.status != http.StatusOK || !strings.Contains(more.body, "packet 99 of segment 1") {
		t.Errorf("when there is more: %d, %d bytes", more.status, len(more.body))
	}
	f.update(t, func(r *media.Recording) { r.Status = media.StatusComplete })
	f.live.mu.Lock()
	delete(f.live.manifests, key)
	f.live.mu.Unlock()
	f.put(t, key, manifest+"\n")
	ended := f.get(t, http.MethodGet, fileDir+"/file.mp4")
	if strings.Contains(ended.body, part) || !strings.Contains(ended.body, string(media.StatusComplete)) {
		t.Error("when it has ended the file does not say so")
	}
}

// update changes what is known of the recording in fileDir.
func (f *fixture) update(t *testing.T, change func(*media.Recording)) {
	t.Helper()
	rec, err := f.db.FindByObject(t.Context(), fileDir+"/manifest.mpd")
	if err != nil {
		t.Fatal(err)
	}
	change(&rec)
	if err := f.db.Put(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
}

// fileOf returns the file of a whole recording.
func (f *fixture) fileOf(ctx context.Context, rec media.Recording) (content, error) {
	p, err := f.plan(context.WithoutCancel(ctx), []Clip{{Recording: rec}}, movie.Choice{})
	if err != nil {
		return nil, err
	}
	return f.movie(ctx, p, p.plan.Files[0])
}

// Who gives up leaves the making of a file to the next who asks.
func TestFileLeftToTheNext(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec, err := f.db.FindByObject(t.Context(), fileDir+"/manifest.mpd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.fileOf(ctx, rec); err == nil {
		t.Fatal("a file was made for one who had left")
	}
	m, err := f.fileOf(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, m.NewReader(t.Context(), f.store)); err != nil || n != m.Size() {
		t.Errorf("%d bytes of %d, %v", n, m.Size(), err)
	}
}

// Files take no more memory than they may, and no more are made at the same time: the one
// that was asked for least recently is made anew.
func TestFilesAreBounded(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	rec, err := f.db.FindByObject(t.Context(), fileDir+"/manifest.mpd")
	if err != nil {
		t.Fatal(err)
	}
	one, err := f.fileOf(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	m := newMovies()
	m.most = 2*one.Held() + 1
	var making, most, made atomic.Int32
	get := func(of byte) {
		t.Helper()
		if _, err := m.get(t.Context(), hash{of}, func() (content, error) {
			n := making.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			made.Add(1)
			runtime.Gosched()
			making.Add(-1)
			return one, nil
		}); err != nil {
			t.Error(err)
		}
	}
	for of := range byte(3) {
		get(of)
	}
	get(2)
	get(1)
	if n := made.Load(); n != 3 || m.held > m.most || len(m.byHash) != 2 {
		t.Errorf("%d were made, %d bytes of %d are kept of %d", n, m.held, m.most, len(m.byHash))
	}
	if get(0); made.Load() != 4 {
		t.Error("what was forgotten was not made anew")
	}
	var clients sync.WaitGroup
	for of := range byte(50) {
		clients.Go(func() { get(10 + of) })
	}
	clients.Wait()
	if n := most.Load(); n > atOnce {
		t.Errorf("%d were made at the same time, want at most %d", n, atOnce)
	}
}

// The query says which tracks there are in it, and what is said wrong is refused.
func TestFileOfTracks(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	sound := f.get(t, http.MethodGet, fileDir+"/file.mp4?tracks=audio")
	_, params, err := mime.ParseMediaType(sound.header.Get("Content-Disposition"))
	if sound.status != http.StatusOK || err != nil || !strings.HasSuffix(params["filename"], ".m4a") || sound.header.Get("Content-Type") != "audio/mp4" {
		t.Errorf("sound alone: %d, %q, %q", sound.status, params["filename"], sound.header.Get("Content-Type"))
	}
	for query, want := range map[string]int{
		"tracks=video": http.StatusNotFound, "tracks=subtitles": http.StatusBadRequest, "height=tall": http.StatusBadRequest,
		"split=perhaps": http.StatusBadRequest, "split=true": http.StatusOK,
	} {
		if got := f.get(t, http.MethodGet, fileDir+"/file.mp4?"+query); got.status != want {
			t.Errorf("%s: %d, want %d", query, got.status, want)
		}
	}
}

// What the storage has lost breaks one answer off; the next is a file without it.
func TestFileOfLostSegments(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	if n := f.get(t, http.MethodGet, fileDir+"/file.mp4").length; n == 0 {
		t.Fatal("there is no file")
	}
	if err := f.store.Delete(t.Context(), fileDir+"/a_seg_0001.m4s"); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+fileDir+"/file.mp4", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("a file without one of its segments came whole")
	}
	_ = res.Body.Close()
	<-f.handled
	if again := f.get(t, http.MethodGet, fileDir+"/file.mp4"); again.status != http.StatusOK || !strings.Contains(again.body, "Lost by the storage: a_seg_0001.m4s") {
		t.Errorf("the next file: %d, %d bytes", again.status, len(again.body))
	}
	var l losses
	for i := range maxLosses + 1 {
		l.add(fmt.Sprint(i))
	}
	if len(l.dirs) > maxLosses || !l.has(fmt.Sprint(maxLosses)) {
		t.Errorf("%d are remembered", len(l.dirs))
	}
}

// Where the codec changes there are several files, in a ZIP whose length is said before,
// and which programs read.
func TestZip(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	manifest := strings.Replace(fmt.Sprintf(soundManifest, "audio/mp4"), ` r="1"`, "", 1)
	second := regexp.MustCompile(`(?s)<Period.*</Period>`).FindString(manifest)
	second = strings.NewReplacer(`id="p1" start="PT0S"`, `id="p2" start="PT2S"`, `codecs="opus"`, `codecs="mp4a.40.2"`,
		`startNumber="1"`, `startNumber="2"`, `t="0"`, `t="96000"`).Replace(second)
	f.put(t, fileDir+"/manifest.mpd", strings.Replace(manifest, "</MPD>", second+"</MPD>", 1))
	if got := f.get(t, http.MethodGet, fileDir+"/file.mp4"); got.status != http.StatusConflict {
		t.Errorf("one file of two codecs: %d", got.status)
	}
	head := f.get(t, http.MethodHead, fileDir+"/file.mp4?split=true")
	got := f.get(t, http.MethodGet, fileDir+"/file.mp4?split=true")
	if got.status != http.StatusOK || got.length != int64(len(got.body)) || head.length != got.length || got.header.Get("Content-Type") != "application/zip" {
		t.Fatalf("%d, %d bytes of %d, HEAD says %d", got.status, len(got.body), got.length, head.length)
	}
	z, err := zip.NewReader(strings.NewReader(got.body), got.length)
	if err != nil || len(z.File) != 2 {
		t.Fatal(err)
	}
	for i, file := range z.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(data), fmt.Sprintf("packet 99 of segment %d", i)) || strings.Contains(string(data), fmt.Sprintf("of segment %d", 1-i)) {
			t.Errorf("%s has %d bytes, %v", file.Name, len(data), err)
		}
		if want := fmt.Sprintf("door_ west 2026-11-30 13.30.0%d.mp4", 2*i); file.Name != want {
			t.Errorf("it is named %q, want %q", file.Name, want)
		}
	}
}
