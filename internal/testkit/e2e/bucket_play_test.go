package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// publishShape publishes a clip of which each second can be told, for so many seconds,
// and returns what players have to show of it: all but a second that is cut.
func (s *server) publishShape(stream string, seconds int) (*publisher, *shapes.Made) {
	s.t.Helper()
	studio := shapes.NewStudio(s.t.TempDir(), seconds+2)
	video, err := studio.Video(s.t.Context(), shapes.Video{Codec: "H264", Width: 640, Height: 360, GOP: shapes.Rate})
	if err != nil {
		s.t.Fatal(err)
	}
	audio, err := studio.Audio(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	made := &shapes.Made{}
	for i := range seconds {
		made.Seconds = append(made.Seconds, shapes.Second{Picture: shapes.Media, Sound: shapes.Media, Code: i})
	}
	return s.publishSources(stream, time.Duration(seconds)*time.Second, video, audio), made
}

// openToAll lets everybody read what is in a server's bucket.
func openToAll(t *testing.T, m *miniotest.Server) {
	t.Helper()
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::%s/*"]}]}`, m.Bucket)
	if _, err := m.Client().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &m.Bucket, Policy: aws.String(policy)}); err != nil {
		t.Fatal(err)
	}
}

// A recording plays from a public bucket by both of its manifests, with no server of ours,
// and through a manager that sends players there for segments: while it runs, and when it is
// over. While it runs, a bucket has it up to where its manifests were stored last.
func TestPlayedFromBucket(t *testing.T) {
	t.Parallel()
	m := miniotest.Start(t)
	openToAll(t, m)
	s := start(t, s3Config(m, m.Endpoint, "segment_seconds = 2\nnode_alias = \"node\""))
	manager := newService(t, "liveman", "[http]\nlisten = \"%s\"\n[fleet]\npoll_seconds = 1\n[playback]\nsigned_redirect = true\n"+
		fmt.Sprintf("[[nodes]]\nalias = \"node\"\nurl = %q\n[storage]\n", s.url)+s3Storage(m, m.Endpoint))
	stage := openStage(t, 5, "chromium")
	p, made := s.publishShape("camera", 12)
	dir := s.await("media", "camera", func(st status) bool { return st.Duration > 2 }).RecordDir
	url := m.Endpoint + "/" + m.Bucket + bucketRoot + "/" + dir + "/"
	await.Until(t, "the manifests of a recording that runs are stored", func() bool {
		return ask(t, http.MethodGet, url+media.IndexName, "").status == http.StatusOK && ask(t, http.MethodGet, url+media.ManifestName, "").status == http.StatusOK
	})
	node, through := s.url+"/api/record/object/"+dir+"/", manager.url+"/api/record/object/"+dir+"/"
	dash, hls := url+media.ManifestName, url+media.IndexName
	var running sync.WaitGroup
	running.Go(func() {
		followAll(t, stage, made, []playing{
			{player: "chromium/dashjs", urls: []string{through + media.ManifestName}},
			{player: "chromium/hlsjs", urls: []string{through + media.IndexName}},
			{player: "chromium/shaka", urls: []string{dash}},
			{player: "chromium/dashjs", urls: []string{dash}},
			{player: "chromium/hlsjs", urls: []string{hls}},
			{player: "ffmpeg", urls: []string{node + media.IndexName}},
			{player: "ffmpeg", urls: []string{through + media.IndexName}},
			{player: "ffmpeg", urls: []string{hls}},
		})
	})
	<-p.done
	if code, body := s.request(http.MethodDelete, "/api/record/camera", ""); code != http.StatusOK {
		t.Fatalf("DELETE /api/record/camera: %d %s", code, body)
	}
	s.awaitEnd("camera")
	running.Wait()
	playAll(t, stage, made, 0, []playing{
		{player: "chromium/dashjs", urls: []string{through + media.ManifestName}},
		{player: "chromium/hlsjs", urls: []string{through + media.IndexName}},
	})
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for name, typ := range map[string]string{
		media.ManifestName: "application/dash+xml", media.IndexName: "application/vnd.apple.mpegurl", "video.m3u8": "application/vnd.apple.mpegurl",
		"audio.m3u8": "application/vnd.apple.mpegurl", "v_init.m4s": "video/mp4", "v_seg_0001.m4s": "video/mp4",
	} {
		if a := ask(t, http.MethodGet, url+name, ""); a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), typ) {
			t.Errorf("%s: %d %q, want %s", name, a.status, a.header.Get("Content-Type"), typ)
		}
	}
	playAll(t, stage, made, 0, []playing{
		{player: "chromium/shaka", urls: []string{dash}},
		{player: "chromium/dashjs", urls: []string{dash}},
		{player: "chromium/hlsjs", urls: []string{hls}},
		{player: "ffmpeg", urls: []string{dash}},
		{player: "ffmpeg", urls: []string{hls}},
	})
	s.filledInBucket(m, dir, made, stage)
}

// unseen is how many seconds a page may miss that looks at what it plays as the world goes.
const unseen = 2

// followAll plays a recording that runs, with all at the same time, from its beginning to its
// end, and holds what they show against what is sent.
func followAll(t *testing.T, stage *players.Stage, made *shapes.Made, list []playing) {
	t.Helper()
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Go(func() {
			showings, err := p.play(t.Context(), stage, made, players.Job{From: 0.01, Rate: 1, Patience: 45})
			if err != nil {
				t.Errorf("%s: %v", p.player, err)
				return
			}
			v := players.Judge(made, showings, 0)
			t.Logf("%s follows: %d of %d s of picture, %d of %d s of sound, %d stalls: %s", p.player, v.Pictures, v.PicturesWanted, v.Sounds, v.SoundsWanted, v.Stalls, p.urls[0])
			r := showings[0].Result
			if r.End != "ended" || len(r.Errors) > 0 || v.Pictures < v.PicturesWanted-unseen || v.Sounds < v.SoundsWanted-unseen {
				t.Errorf("%s of %s, which runs: %s", p.player, p.urls[0], strings.Join(v.Missing, "; "))
			}
		})
	}
	wg.Wait()
}

// filledInBucket loses a segment of pictures in a bucket: after a rebuild players of the
// bucket play through, and verify finds nothing.
func (s *server) filledInBucket(m *miniotest.Server, dir string, made *shapes.Made, stage *players.Stage) {
	s.t.Helper()
	key := strings.TrimPrefix(bucketRoot, "/") + "/" + dir + "/v_seg_0003.m4s" // of two seconds
	if _, err := m.Client().DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: &m.Bucket, Key: &key}); err != nil {
		s.t.Fatal(err)
	}
	for _, args := range [][]string{{"rebuild", "-fill"}, {"verify"}} {
		if code, out := runCommand(s.t, s.dir, nil, args...); code != 0 || args[0] == "rebuild" && !strings.Contains(out, "1 lost segments filled") {
			s.t.Fatalf("%v: %d %s", args, code, out)
		}
	}
	for i := 3; i <= 6; i++ {
		made.Seconds[i].Picture = shapes.Nothing
	}
	url := m.Endpoint + "/" + m.Bucket + bucketRoot + "/" + dir + "/"
	playAll(s.t, stage, made, 0, []playing{
		{player: "chromium/shaka", urls: []string{url + media.ManifestName}},
		{player: "chromium/dashjs", urls: []string{url + media.ManifestName}},
		{player: "chromium/hlsjs", urls: []string{url + media.IndexName}},
	})
}
