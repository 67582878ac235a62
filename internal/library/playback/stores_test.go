package playback

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/spool"
)

// stores returns empty stores of each kind. What the spool gets waits in it.
func stores(t *testing.T) map[string]storage.Store {
	t.Helper()
	minio := miniotest.Start(t)
	s3Store, err := s3.New(t.Context(), s3.Options{
		Bucket: minio.Bucket, Root: "/live777", Region: miniotest.Region, Endpoint: minio.Endpoint,
		AccessKeyID: minio.AccessKey, SecretAccessKey: minio.SecretKey, DisableConfigLoad: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	aliyun, err := osstest.Start(osstest.Options{Bucket: "recordings", Keys: map[string]osstest.Key{"id": {Secret: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(aliyun.Close)
	ossStore, err := oss.New(t.Context(), oss.Options{
		Bucket: "recordings", Root: "/live777", Region: "cn-hangzhou", Endpoint: aliyun.URL, AccessKeyID: "id", AccessKeySecret: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := spool.New(t.Context(), spool.Options{Dir: t.TempDir(), Remote: s3Store, NoSync: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waiting.Close(context.Background()) })
	return map[string]storage.Store{"S3": s3Store, "OSS": ossStore, "spool": waiting}
}

// forms are recordings of each container, out of a store.
type forms struct {
	*fixture
	recs []media.Recording
	sent []*verifytest.Fake
}

// The folders of the recordings of forms, in the order of time.
const (
	asMP4  = "camera/1767323045"
	asWebM = "camera/1767323099"
)

// newForms returns recordings of H264 and of VP8, both with sound, and what they are stored as.
func newForms(t *testing.T, db *catalogue.DB) (f *forms, objects map[string][]byte) {
	t.Helper()
	f, objects = &forms{}, map[string][]byte{}
	for i, dir := range []string{asMP4, asWebM} {
		made := verifytest.Record(t, verifytest.SentLog(t, []string{"h264_high.h264", "vp8.ivf"}[i], "opus_stereo.ogg", 9))
		for key, data := range made.Write(t) {
			if strings.HasSuffix(key, ".m4s") && strings.Contains(key, "_seg_") {
				data = asRecorded(t, data)
			}
			name := strings.NewReplacer("v.m3u8", "video.m3u8", "a.m3u8", "audio.m3u8").Replace(path.Base(key))
			objects[dir+"/"+name] = data
		}
		start := verifytest.Started.Add(time.Duration(i) * 54 * time.Second)
		manifest := objects[dir+"/"+media.ManifestName]
		began := []byte(verifytest.Started.Format(time.RFC3339Nano))
		objects[dir+"/"+media.ManifestName] = bytes.ReplaceAll(manifest, began, []byte(start.Format(time.RFC3339Nano)))
		for id, long := range map[string]string{"v": "video", "a": "audio"} {
			objects[dir+"/"+media.ManifestName] = bytes.ReplaceAll(objects[dir+"/"+media.ManifestName], []byte(`<Representation id="`+id+`"`), []byte(`<Representation id="`+long+`"`))
		}
		rec := media.Recording{
			Stream: "camera", RecordID: path.Base(dir), RecordDir: dir, MPDPath: dir + "/" + media.ManifestName, Start: start, Duration: 9, DurableThrough: 9, Status: media.StatusComplete,
			Tracks: []media.RecordingTrack{{Kind: "video", Recorded: true}, {Kind: "audio", Recorded: true}},
		}
		if err := db.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		f.recs, f.sent = append(f.recs, rec), append(f.sent, made)
	}
	return f, objects
}

// asRecorded returns a segment with the boxes that the recorder writes.
func asRecorded(t *testing.T, segment []byte) (data []byte) {
	t.Helper()
	file, err := mp4.DecodeFile(bytes.NewReader(segment))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range file.Segments[0].Fragments {
		samples, err := f.GetFullSamples(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := fmp4.Chunk{TrackID: 1, Kind: media.Video, Sequence: f.Moof.Mfhd.SequenceNumber, Time: media.Ticks(samples[0].DecodeTime), First: i == 0}
		for _, s := range samples {
			c.Samples = append(c.Samples, fmp4.Sample{Data: s.Data, Duration: s.Dur, Composition: s.CompositionTimeOffset, Key: s.IsSync()})
		}
		data = c.Append(data)
	}
	return data
}

// from returns the same out of another store, which it fills.
func (f *forms) from(t *testing.T, store storage.Store, objects map[string][]byte, like *fixture) *forms {
	t.Helper()
	for key, data := range objects {
		if err := store.Put(t.Context(), key, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(Options{Backend: store, Lister: store, Catalogue: like.db, Live: like.live, Note: like.db.Put, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	of := &forms{&fixture{Server: s, handled: make(chan error, 1000)}, f.recs, f.sent}
	of.url = of.listen(t)
	return of
}

// zip returns both recordings as a ZIP, for one file they cannot be.
func (f *forms) zip(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/file.mp4?split=true", http.NoBody)
	if err := f.File(w, r, media.FileName, []Clip{{Recording: f.recs[0]}, {Recording: f.recs[1], From: time.Second, To: 7 * time.Second}}); err != nil {
		t.Fatal(err)
	}
	return w.Body.String()
}

// key returns a key frame as a file.
func (f *forms) key(t *testing.T, i int) string {
	t.Helper()
	p, err := f.KeyFrameOf(t.Context(), f.recs[i], media.KeyFrameQuery{Stream: "camera", At: f.recs[i].Start.Add(5 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	return p.Type + string(p.Data)
}

// Each form of a recording is the same out of each store: the file of MP4 or WebM whole, in
// ranges, and when its download is cut and goes on; sound alone; several files in a ZIP; a
// key frame; the objects that manifests and playlists name; and what is left, and stands in,
// when the store has lost a segment.
func TestFileFromEveryStore(t *testing.T) {
	base := setup(t, nil)
	made, objects := newForms(t, base.db)
	f := made.from(t, base.store, objects, base)
	files := map[string]answer{}
	for _, key := range []string{asMP4 + "/file.mp4", asMP4 + "/file.mp4?tracks=audio", asWebM + "/file.webm", asWebM + "/file.webm?tracks=audio"} {
		files[key] = f.get(t, http.MethodGet, key)
	}
	for key, got := range files {
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d, %v", key, got.status, <-f.handled)
		}
	}
	inOrder(t, files[asMP4+"/file.mp4"].body, made.sent[0])
	inOrder(t, files[asWebM+"/file.webm"].body, made.sent[1])
	zip, keys := f.zip(t), []string{f.key(t, 0), f.key(t, 1)}
	if !strings.Contains(zip, ".mp4") || !strings.Contains(zip, ".webm") || !strings.HasPrefix(keys[0], "video/mp4") || !strings.HasPrefix(keys[1], "video/webm") {
		t.Fatalf("a ZIP of %d bytes, keys of %d and %d", len(zip), len(keys[0]), len(keys[1]))
	}
	lost := map[string]answer{}
	all := stores(t)
	all["fs"] = base.store
	// The spool comes first: what is in its remote storage already it need not keep.
	for _, name := range []string{"spool", "S3", "OSS", "fs"} {
		of := f
		if name != "fs" {
			of = made.from(t, all[name], objects, base)
		}
		t.Run(name, func(t *testing.T) {
			for key, want := range files {
				of.sameFile(t, key, want)
			}
			if of.zip(t) != zip {
				t.Error("the ZIP is another one")
			}
			for i, want := range keys {
				if of.key(t, i) != want {
					t.Errorf("the key frame of %s is another one", of.recs[i].RecordDir)
				}
			}
			for key, want := range objects {
				if got := of.get(t, http.MethodGet, key); got.status != http.StatusOK || got.body != string(want) {
					t.Errorf("%s: %d, %d bytes of %d", key, got.status, len(got.body), len(want))
				}
			}
			of.loses(t, all[name], lost)
		})
	}
}

// inOrder looks for the frames of each track in a file, one behind the other.
func inOrder(t *testing.T, file string, sent *verifytest.Fake) {
	t.Helper()
	for _, track := range sent.Tracks {
		rest := file
		for i, s := range track.Samples {
			_, behind, ok := strings.Cut(rest, string(s.Data))
			if !ok {
				t.Fatalf("frame %d of %s is not in the file, or not behind the one before", i, track.Kind)
			}
			rest = behind
		}
	}
}

// loses deletes segments, and looks what there is in their place, which is the same out of
// each store, and that files lack them and say so.
func (f *forms) loses(t *testing.T, store storage.Store, before map[string]answer) {
	t.Helper()
	for file, keys := range map[string][]string{
		asMP4 + "/file.mp4": {asMP4 + "/v_seg_0002.m4s", asMP4 + "/a_seg_0003.m4s"}, asWebM + "/file.webm": {asWebM + "/v_seg_0002.webm", asWebM + "/a_seg_0003.m4s"},
	} {
		for _, key := range keys {
			if err := store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			got := f.get(t, http.MethodGet, key)
			if got.status != http.StatusOK || got.header.Get(StandInHeader) == "" || len(got.body) == 0 || got.header.Get("Cache-Control") != cacheValidate {
				t.Errorf("%s is lost: %d, %d bytes, %v", key, got.status, len(got.body), got.header)
			}
			f.noted(t, key)
			if other, ok := before[key]; ok && other.body != got.body {
				t.Errorf("something else stands for %s", key)
			}
			before[key] = got
		}
		got := f.get(t, http.MethodGet, file)
		for _, key := range keys {
			if got.status != http.StatusOK || !strings.Contains(got.body, path.Base(key)) {
				t.Errorf("%s: %d, and does not name %s", file, got.status, key)
			}
		}
	}
	for _, r := range f.recs { // for the next store, which has everything
		if err := f.note(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// noted looks whether the ledger in the catalogue says that a segment is lost.
func (f *forms) noted(t *testing.T, key string) {
	t.Helper()
	r, err := f.catalogue.FindByObject(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	i := map[byte]int{'v': 0, 'a': 1}[path.Base(key)[0]]
	if !slices.ContainsFunc(r.Tracks[i].Gaps, func(g media.Gap) bool { return g.Cause == media.CauseStorage && g.Filled }) || r.Status != media.StatusDegraded {
		t.Errorf("%s: it is not noted: %s %+v", key, r.Status, r.Tracks[i].Gaps)
	}
}

// sameFile holds a file against another answer.
func (f *fixture) sameFile(t *testing.T, key string, want answer) {
	t.Helper()
	etag, body := want.header.Get("ETag"), want.body
	if got := f.get(t, http.MethodGet, key); got.body != body || got.header.Get("ETag") != etag || got.length != want.length {
		t.Fatalf("%d bytes, ETag %s; want %d, %s", len(got.body), got.header.Get("ETag"), len(body), etag)
	}
	for range 10 {
		from := rand.IntN(len(body))
		to := from + rand.IntN(len(body)-from)
		got := f.get(t, http.MethodGet, key, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
		if got.status != http.StatusPartialContent || got.body != body[from:to+1] {
			t.Errorf("bytes %d to %d: %d, %d bytes", from, to, got.status, len(got.body))
		}
	}
	f.severalRanges(t, key, body)
	const cuts = 20
	ends := []int{len(body)}
	for range cuts {
		ends = append(ends, rand.IntN(len(body)))
	}
	slices.Sort(ends)
	var got strings.Builder
	for _, end := range ends {
		got.WriteString(f.begin(t, key, got.Len(), end, etag))
	}
	if got.String() != body {
		t.Errorf("a download that was cut %d times has %d bytes, which are others than those %d", cuts, got.Len(), len(body))
	}
	if other := f.get(t, http.MethodGet, key, "Range", "bytes=100-", "If-Range", `"other"`); other.status != http.StatusOK || other.body != body {
		t.Errorf("going on with another file: %d, %d bytes", other.status, len(other.body))
	}
}

// severalRanges asks for several ranges at once.
func (f *fixture) severalRanges(t *testing.T, key, body string) {
	t.Helper()
	got := f.get(t, http.MethodGet, key, "Range", "bytes=0-9,100-1999,-7")
	_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || got.status != http.StatusPartialContent {
		t.Fatalf("several ranges: %d %v", got.status, err)
	}
	parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
	for _, want := range []string{body[:10], body[100:2000], body[len(body)-7:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(part); err != nil || string(data) != want {
			t.Errorf("%s: %d bytes, %v", part.Header.Get("Content-Range"), len(data), err)
		}
	}
}

// begin asks for the rest of a file from one byte on, and hangs up at another.
func (f *fixture) begin(t *testing.T, key string, from, to int, etag string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+key, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	r.Header.Set("If-Range", etag)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	part := make([]byte, to-from)
	if _, err := io.ReadFull(res.Body, part); err != nil || res.StatusCode != http.StatusPartialContent {
		t.Fatalf("from %d on: %d %v", from, res.StatusCode, err)
	}
	return string(part)
}
