package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
)

const (
	// managerToken lets a client do everything.
	managerToken = "a-token-that-is-long-enough-for-keys"
	// redirectTTL is how long the URLs are valid that players are sent to.
	redirectTTL = 10 * time.Second
	// liveSegments is how many segments live playback may be behind: the manifest asks
	// for three, one is being recorded, and the machine is busy.
	liveSegments = 6
	// segmentSeconds is how long a segment is.
	segmentSeconds = 2
)

// newMixedFleet starts a node that records to MinIO, one that keeps what it records
// and has another name with the manager, and a manager that asks for a token and
// sends players to MinIO for segments.
func newMixedFleet(t *testing.T) *fleet {
	f := &fleet{t: t, minio: miniotest.Start(t), nodes: map[string]*service{}, streams: []string{"cam-bucket", "cam-cellar"}}
	f.store = openBucket(t, f.minio)
	const node = "[http]\nlisten = \"%%s\"\n[webrtc]\nlisten = \"127.0.0.1:0\"\n[recorder]\nnode_alias = %q\nsegment_seconds = %d\n"
	bucket := s3Storage(f.minio, f.minio.Endpoint)
	f.nodes["bucket"] = newService(t, "live777", fmt.Sprintf(node, "bucket", segmentSeconds)+"[recorder.storage]\n"+bucket)
	f.nodes["cellar"] = newService(t, "live777", fmt.Sprintf(node, "edge-9", segmentSeconds))
	f.manager = newService(t, "liveman", "[http]\nlisten = \"%s\"\n[fleet]\npoll_seconds = 1\n[auto_record]\nstreams = [\"*\"]\nretry_seconds = 1\n"+
		fmt.Sprintf("[auth]\ntokens = [%q]\n[playback]\nsigned_redirect = true\nsigned_redirect_ttl_seconds = %d\n", managerToken, int(redirectTTL.Seconds()))+
		fmt.Sprintf("[[nodes]]\nalias = \"bucket\"\nurl = %q\n[[nodes]]\nalias = \"cellar\"\nurl = %q\nlocal_storage = true\n", f.nodes["bucket"].url, f.nodes["cellar"].url)+
		"[storage]\n"+bucket)
	f.manager.token = managerToken
	return f
}

// TestManagerPlayback: what one node records to MinIO, and another keeps itself,
// plays in Chromium through a manager: live and finished, by URLs that need no
// credentials, and on the page. Segments in MinIO come from there, everything else
// through the manager.
func TestManagerPlayback(t *testing.T) {
	t.Parallel()
	f := newMixedFleet(t)
	var publishers []*publisher
	for _, alias := range []string{"bucket", "cellar"} {
		publishers = append(publishers, f.publish(alias, "cam-"+alias))
	}
	for _, stream := range f.streams {
		await.Until(t, "there are segments of "+stream, func() bool {
			var st status
			return f.manager.get("/api/record/"+stream, &st) == http.StatusOK && st.Duration >= 3*segmentSeconds
		})
	}
	f.playLive()
	for _, stream := range f.streams {
		if a := f.manager.ask(http.MethodDelete, "/api/record/"+stream, ""); a.status != http.StatusOK {
			t.Fatalf("stop %s: %d %s", stream, a.status, a.body)
		}
	}
	for _, p := range publishers {
		p.end()
	}
	bucket, cellar := f.sealed("cam-bucket"), f.sealed("cam-cellar")
	if bucket.Node != "bucket" || cellar.Node != "cellar" {
		t.Errorf("the recordings are listed of %q and %q", bucket.Node, cellar.Node)
	}
	target, expires := f.redirects(bucket), time.Now().Add(redirectTTL)
	brief := f.sign(bucket.RecordDir, 1)
	f.sameAnswers(cellar)
	f.playFinished(bucket, cellar)

	time.Sleep(time.Until(expires.Add(time.Second))) // in most runs that was while it was played
	if a := ask(t, http.MethodGet, target, ""); a.status != http.StatusForbidden {
		t.Errorf("a URL of storage that has expired: %d %.200s", a.status, a.body)
	}
	for _, path := range []string{brief, strings.Replace(brief, "manifest.mpd", "v_init.m4s", 1)} {
		if a := ask(t, http.MethodGet, f.manager.url+path, ""); a.status != http.StatusForbidden {
			t.Errorf("a playback URL that has expired: %d %.200s", a.status, a.body)
		}
	}
}

// sign returns the path of a playback URL that needs no credentials.
func (f *fleet) sign(dir string, seconds int) string {
	f.t.Helper()
	var link struct {
		URL string `json:"url"`
	}
	a := f.manager.ask(http.MethodPost, "/api/sign/"+dir, fmt.Sprintf(`{"ttl_seconds":%d}`, seconds))
	if err := json.Unmarshal(a.body, &link); err != nil || a.status != http.StatusOK {
		f.t.Fatalf("sign %s: %d %s", dir, a.status, a.body)
	}
	if a := ask(f.t, http.MethodGet, f.manager.url+"/api/record/object/"+dir+"/manifest.mpd", ""); a.status != http.StatusUnauthorized {
		f.t.Errorf("without credentials: %d", a.status)
	}
	return link.URL
}

// sealed waits until a stream's only recording is over and all of it where it stays.
func (f *fleet) sealed(stream string) (r media.Recording) {
	f.t.Helper()
	await.Until(f.t, "the recording of "+stream+" is over", func() bool {
		list, _ := f.manager.recordings([]string{stream})
		if len(list) == 1 {
			r = list[0]
		}
		return r.Status == media.StatusComplete && r.DurableThrough >= r.Duration
	})
	return r
}

// watched is what web/e2e/live.mjs and watch.mjs print.
type watched struct {
	Behind  float64        `json:"behind"`
	Frames  int            `json:"frames"`
	Origins map[string]int `json:"origins"` // segments by the server that they came from
}

// from checks where a player got the segments of a recording.
func (f *fleet) from(what string, origins map[string]int, want ...string) {
	f.t.Helper()
	for origin, n := range origins {
		if n > 0 && !slices.Contains(want, origin) {
			f.t.Errorf("%s: %d segments came from %s", what, n, origin)
		}
	}
	if origins[want[0]] == 0 {
		f.t.Errorf("%s: no segment came from %s: %v", what, want[0], origins)
	}
}

// playLive plays both recordings while they run.
func (f *fleet) playLive() {
	f.t.Helper()
	scripts := map[string]*script{}
	for _, stream := range f.streams {
		var st status
		f.manager.get("/api/record/"+stream, &st)
		scripts[stream] = startScript(f.t, nil, "live.mjs", "--base", f.manager.url, "--path", f.sign(st.RecordDir, 600),
			"--behind", strconv.Itoa(liveSegments*segmentSeconds), "--storage", f.minio.Endpoint, "--out", filepath.Join(f.t.ArtifactDir(), stream))
	}
	var bucket, cellar watched
	scripts["cam-bucket"].wait(&bucket)
	scripts["cam-cellar"].wait(&cellar)
	f.from("live, to MinIO", bucket.Origins, f.manager.url, f.minio.Endpoint) // players are at the segment that is being written
	f.from("live, from a node", cellar.Origins, f.manager.url)
}

// playFinished plays both recordings to their ends, the first on the page as well.
func (f *fleet) playFinished(bucket, cellar media.Recording) {
	f.t.Helper()
	back, err := verify.ReadRecording(f.t.Context(), f.store, bucket.RecordDir)
	if err != nil {
		f.t.Fatal(err)
	}
	play := func(rec *verify.Recording) *script {
		video, ok := rec.Track(media.Video)
		if !ok || len(rec.Problems) > 0 {
			f.t.Fatalf("%s: %v", rec.Dir, rec.Problems)
		}
		return startScript(f.t, nil, "play.mjs", "--base", f.manager.url, "--path", f.sign(rec.Dir, 600), "--players", "shaka", "--tolerance", "6",
			"--frames", strconv.Itoa(len(video.Samples)), "--storage", f.minio.Endpoint, "--out", filepath.Join(f.t.ArtifactDir(), filepath.Base(rec.Dir)))
	}
	scripts := []*script{play(back), play(read(f.t, filepath.Join(f.nodes["cellar"].dir, "storage"), cellar.RecordDir))}
	page := startScript(f.t, nil, "watch.mjs", "--base", f.manager.url, "--stream", bucket.Stream, "--token", managerToken,
		"--storage", f.minio.Endpoint, "--out", filepath.Join(f.t.ArtifactDir(), "page"))
	// A segment that storage does not confirm at once, just after the recording's end,
	// comes through the manager.
	for i, want := range [][]string{{f.minio.Endpoint, f.manager.url}, {f.manager.url}} {
		var result map[string]played
		scripts[i].wait(&result)
		f.from("finished", result["shaka"].Origins, want...)
	}
	var result watched
	page.wait(&result)
	f.from("on the page", result.Origins, f.minio.Endpoint, f.manager.url)
}

// redirects checks how the objects of a recording in MinIO are answered, and returns
// the URL of one.
func (f *fleet) redirects(r media.Recording) (target string) {
	f.t.Helper()
	object := "/api/record/object/" + r.RecordDir + "/"
	segment := f.manager.ask(http.MethodGet, object+"v_seg_0001.m4s", "", "Range", "bytes=8-15")
	target = segment.header.Get("Location")
	if segment.status != http.StatusFound || !strings.HasPrefix(target, f.minio.Endpoint+"/") {
		f.t.Fatalf("a segment is answered with %d %s", segment.status, target)
	}
	proxied := f.manager.ask(http.MethodHead, object+"v_seg_0001.m4s", "")
	whole, part := ask(f.t, http.MethodGet, target, ""), ask(f.t, http.MethodGet, target, "", "Range", "bytes=8-15")
	if whole.status != http.StatusOK || strconv.Itoa(len(whole.body)) != proxied.header.Get("Content-Length") || proxied.status != http.StatusOK {
		f.t.Errorf("storage answers with %d and %d bytes, HEAD of the manager says %d, %v", whole.status, len(whole.body), proxied.status, proxied.header)
	}
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, whole.body[8:16]) {
		f.t.Errorf("a part of it: %d %q", part.status, part.body)
	}
	if other := ask(f.t, http.MethodGet, strings.Replace(target, "v_seg_0001", "v_seg_0002", 1), ""); other.status != http.StatusForbidden {
		f.t.Errorf("another object by the same signature: %d", other.status)
	}
	if manifest := f.manager.ask(http.MethodGet, object+"manifest.mpd", ""); manifest.status != http.StatusOK || !strings.Contains(string(manifest.body), `type="static"`) {
		f.t.Errorf("the manifest is answered with %d %s", manifest.status, manifest.body)
	}
	return target
}

// sameAnswers holds what the manager relays of a recording against its node.
func (f *fleet) sameAnswers(r media.Recording) {
	f.t.Helper()
	node := f.nodes[r.Node]
	for _, name := range []string{"manifest.mpd", "index.m3u8", "video.m3u8", "v_init.m4s", "v_seg_0001.m4s"} {
		path := "/api/record/object/" + r.RecordDir + "/" + name
		tag := node.ask(http.MethodGet, path, "").header.Get("ETag")
		for _, c := range []struct {
			method string
			header []string
			status int
		}{
			{http.MethodGet, nil, http.StatusOK},
			{http.MethodHead, nil, http.StatusOK},
			{http.MethodGet, []string{"Range", "bytes=4-99"}, http.StatusPartialContent},
			{http.MethodGet, []string{"If-None-Match", tag}, http.StatusNotModified},
			{http.MethodHead, []string{"If-None-Match", `"other"`}, http.StatusOK},
			{http.MethodGet, []string{"Range", "bytes=4-99", "If-Range", `"other"`}, http.StatusOK},
		} {
			want, got := node.ask(c.method, path, "", c.header...), f.manager.ask(c.method, path, "", c.header...)
			if got.status != c.status || want.status != c.status || !bytes.Equal(got.body, want.body) || tag == "" {
				f.t.Errorf("%s %s %q: %d with %d bytes, of the node %d with %d, want %d", c.method, name, c.header, got.status, len(got.body), want.status, len(want.body), c.status)
			}
			for _, h := range []string{"ETag", "Content-Type", "Content-Length", "Content-Range", "Cache-Control", "Accept-Ranges"} {
				if got.header.Get(h) != want.header.Get(h) {
					f.t.Errorf("%s %s %q: %s is %q, of the node %q", c.method, name, c.header, h, got.header.Get(h), want.header.Get(h))
				}
			}
		}
	}
}
