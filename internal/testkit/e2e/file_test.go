package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// What is in the files that are played, in pictures: H264, then a publisher with VP8.
const (
	h264Ends   = 10 * shapes.Rate
	vp8Begins  = 12 * shapes.Rate
	vp8Ends    = 17 * shapes.Rate
	groupOfOne = 2 * shapes.Rate // pictures from one key frame to the next
)

// files are of a recording that is rotated every 6 s.
type files struct {
	made  *shapes.Made
	stage *players.Stage
}

// url returns that of a file on a server, from one picture to another.
func (f *files) url(server, name string, from, to int) string {
	at := func(picture int) string {
		return strconv.FormatFloat(float64(f.made.Zero.UnixMilli())/1000+float64(picture)/shapes.Rate, 'f', 3, 64)
	}
	return server + "/api/archive/" + shapes.Stream + "/" + at(from) + "/" + at(to) + "/" + name
}

// A file over a rotation is exact: a seek in a browser shows the very picture, and programs
// read it without a word; of a node, and through a manager. In Firefox an MP4 only if it
// begins with a key frame: what an edit list hides it takes for the beginning (Mozilla's bug
// 1735300).
func TestFileInPlayers(t *testing.T) {
	t.Parallel()
	take := func(codec string) []shapes.Take {
		return []shapes.Take{{Video: shapes.Video{Codec: codec, Width: 640, Height: 360, GOP: groupOfOne, Counts: true}}}
	}
	at := func(picture int) time.Duration { return time.Duration(picture) * time.Second / shapes.Rate }
	made, s := recordShape(t, shapes.Shape{Name: "file", For: at(vp8Ends), Rotate: 6 * time.Second, Pubs: []shapes.Publication{
		{To: at(h264Ends), Video: take("H264"), Audio: &shapes.Take{}},
		{From: at(vp8Begins), To: at(vp8Ends), Video: take("VP8"), Audio: &shapes.Take{}},
	}})
	manager := newService(t, "liveman", "[http]\nlisten = \"%s\"\n[fleet]\npoll_seconds = 1\n"+
		fmt.Sprintf("[[nodes]]\nalias = \"node\"\nurl = %q\n", s.url))
	f := &files{made, openStage(t, 1, "chromium", "firefox")}
	await.Until(t, "the manager knows the recordings", func() bool {
		list, ok := manager.recordings([]string{shapes.Stream})
		return ok && len(list) == len(made.Recordings)
	})
	f.mp4(t, s.url)
	f.webm(t, s.url)
	f.zip(t, s.url)
	f.sameOf(t, s.url, manager.url)
}

// zip looks at the ZIP of a span that changes from H264 to VP8: it has both, as files of
// their own.
func (f *files) zip(t *testing.T, server string) {
	t.Helper()
	data := ask(t, http.MethodGet, f.url(server, media.FileName, 82, vp8Ends-10)+"?split=true", "").body
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("a ZIP of %d bytes: %v %.200s", len(data), err, data)
	}
	var found []string
	for _, part := range z.File {
		r, err := part.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r) // it checks the sum, too
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "part")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-show_entries", "stream=codec_name", "-of", "csv=p=0", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ffprobe: %v %s", err, out)
		}
		found = append(found, path.Ext(part.Name)+" "+strings.Join(strings.Fields(string(out)), "+"))
	}
	if want := []string{".mp4 h264+opus", ".webm vp8+opus"}; !slices.Equal(found, want) {
		t.Errorf("the ZIP has %q, want %q", found, want)
	}
}

// sameOf holds the files of a manager against those of its node.
func (f *files) sameOf(t *testing.T, node, manager string) {
	t.Helper()
	for name, span := range map[string][2]int{media.FileName: {82, h264Ends - 10}, media.WebMName: {vp8Begins + 32, vp8Ends - 10}} {
		url := f.url(manager, name, span[0], span[1])
		data, _ := save(t, url)
		if want, _ := save(t, f.url(node, name, span[0], span[1])); !bytes.Equal(data, want) || len(data) == 0 {
			t.Errorf("%s of the manager has %d bytes, that of its node %d, or they differ", name, len(data), len(want))
		}
		cutTwentyTimes(t, url, data)
	}
	const key = vp8Begins
	url := f.url(manager, media.WebMName, key, vp8Ends-10)
	for _, browser := range []string{"chromium", "firefox"} {
		seekIn(t, f.stage, browser, url, key, []int{vp8Ends - 11, key + 70, key})
	}
}

// mp4 looks at the MP4 of H264 that a server has.
func (f *files) mp4(t *testing.T, server string) {
	t.Helper()
	const key, first, last = groupOfOne, 82, h264Ends - 10
	pictures := []int{120, first, last - 1, 149, 150, 151, 83, 199, 200, 99, 100}
	seekIn(t, f.stage, "chromium", f.url(server, media.FileName, first, last), first, pictures)
	for _, browser := range []string{"chromium", "firefox"} {
		seekIn(t, f.stage, browser, f.url(server, media.FileName, key, last), key, pictures)
	}
	url := f.url(server, media.FileName, first, last)
	data, path := save(t, url)
	silent(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-")
	silent(t, "ffprobe", "-v", "warning", path)
	_, content, _ := bytes.Cut(data, []byte("mdat"))
	const length = 8 // of 64 bits, before the media
	inVLC(t, url, len(content)-length)
	inMP4Box(t, path, len(content)-length)
	cutTwentyTimes(t, url, data)
}

// webm looks at the WebM of VP8 that a server has, which begins with the key frame before.
func (f *files) webm(t *testing.T, server string) {
	t.Helper()
	const key, first, last = vp8Begins, vp8Begins + 32, vp8Ends - 10
	url := f.url(server, media.WebMName, first, last)
	for _, browser := range []string{"chromium", "firefox"} {
		seekIn(t, f.stage, browser, url, key, []int{key + 70, key, last - 1, 349, 350, 351, key + 1, 399, 400, first})
		playIn(t, f.stage, browser, url, key, last)
	}
	data, path := save(t, url)
	silent(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-")
	silent(t, "ffprobe", "-v", "warning", path)
	inVLC(t, url, mediaBytes(t, path))
	cutTwentyTimes(t, url, data)
}

// save downloads a file.
func save(t *testing.T, url string) (data []byte, file string) {
	t.Helper()
	data = ask(t, http.MethodGet, url, "").body
	file = filepath.Join(t.TempDir(), path.Base(url))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return data, file
}

// mediaBytes is how much media ffprobe finds in a file.
func mediaBytes(t *testing.T, path string) (sum int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	for line := range strings.FieldsSeq(string(out)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// codes is how many bar codes there are.
const codes = 1 << shapes.Columns

// seekIn seeks pictures in a file that begins with the first one.
func seekIn(t *testing.T, stage *players.Stage, browser, url string, first int, pictures []int) {
	t.Helper()
	job := players.Job{Player: "file", URL: url, Limit: 60}
	var want []int
	for _, n := range pictures {
		job.Seeks = append(job.Seeks, (float64(n-first)+0.5)/shapes.Rate)
		want = append(want, n%codes)
	}
	r, err := stage.Play(t.Context(), browser, job)
	if err != nil {
		t.Errorf("%s: %v", browser, err)
		return
	}
	var shown []int
	for _, p := range r.Pictures {
		shown = append(shown, p.Code)
	}
	if fmt.Sprint(shown) != fmt.Sprint(want) || r.End != "ended" {
		t.Errorf("%s: %s: seeks to the codes %v show %v, %s %v %s", browser, url, want, shown, r.End, r.Errors, r.Note)
	}
}

// playIn plays a file from its first picture to the last: pictures and sound are those of
// their time. A browser that has little of a processor shows some late.
func playIn(t *testing.T, stage *players.Stage, browser, url string, first, last int) {
	t.Helper()
	r, err := stage.Play(t.Context(), browser, players.Job{Player: "file", URL: url, Rate: 2, Sound: true, Limit: 60, Patience: 8})
	if err != nil {
		t.Errorf("%s: %v", browser, err)
		return
	}
	const near = 8 // pictures: it is looked at in passing
	seen, heard := 0, 0
	for i, p := range r.Pictures {
		now := first + int(p.Time*shapes.Rate)
		if off := (p.Code - now + 3*codes/2) % codes; p.Code >= 0 && max(off-codes/2, codes/2-off) <= near {
			seen++
		}
		if pitch := r.Sounds[i].Pitch; min(math.Abs(pitch-shapes.Tone((now-near)/shapes.Rate)), math.Abs(pitch-shapes.Tone((now+near)/shapes.Rate))) < shapes.ToneStep/2 {
			heard++
		}
	}
	lasts := float64(last-first) / shapes.Rate
	if r.End != "ended" || math.Abs(r.Time-lasts) > 0.1 || seen < len(r.Pictures)/2 || heard < len(r.Sounds)/2 {
		t.Errorf("%s: %s: of %d times it shows the right picture %d and has the right sound %d: %s at %.2f of %.2f s %v %s",
			browser, url, len(r.Pictures), seen, heard, r.End, r.Time, lasts, r.Errors, r.Note)
	}
}

// silent runs a program that is to end well and to say nothing but what it was asked.
func silent(t *testing.T, name string, args ...string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%s: %v %s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
}

// inVLC has VLC read a file from a URL, and hand on what it finds of so much media in it.
func inVLC(t *testing.T, url string, content int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "cvlc", "-vv", "--no-color", "--ignore-config", "--no-dbus", "--intf", "dummy", "--play-and-exit",
		"--sout", "#std{access=file,mux=dummy,dst=-}", "--sout-all", url)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if os.Getuid() == 0 { // as whom it does not run
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := cmd.Run(); err != nil {
		t.Errorf("VLC: %v\n%s", err, stderr.String())
	}
	if n := stdout.Len(); n < content*95/100 || n > content { // sound before the beginning it leaves out
		t.Errorf("VLC found %d bytes of media in %d", n, content)
	}
	for line := range strings.SplitSeq(stderr.String(), "\n") {
		// It "warns" of each edit list and each table of times that it finds, and of each end.
		found := strings.Contains(line, "elst box found") || strings.Contains(line, "STTS table of") || strings.HasSuffix(line, "EOF") || strings.HasSuffix(line, "EOF?")
		if of := strings.Contains(line, "mp4 ") || strings.Contains(line, "mkv ") || strings.Contains(line, "decoder") || strings.Contains(line, "demux"); of && !found &&
			(strings.Contains(line, " warning: ") || strings.Contains(line, " error: ")) {
			t.Errorf("VLC: %s", line)
		}
	}
}

// inMP4Box has GPAC's MP4Box in JavaScript read a file with so much media, and GPAC's own
// where it is there: few distributions have it.
func inMP4Box(t *testing.T, path string, content int) {
	t.Helper()
	var found struct {
		Said  []string `json:"said"`
		Media int      `json:"media"`
	}
	startScript(t, nil, "boxes.mjs", path).wait(&found)
	if len(found.Said) > 0 || found.Media != content {
		t.Errorf("MP4Box found %d bytes of media in %d, and says %q", found.Media, content, found.Said)
	}
	if _, err := exec.LookPath("MP4Box"); err == nil {
		silent(t, "MP4Box", "-quiet", "-logs=all@warning", "-diso", path, "-out", path+".xml")
	}
}

// cutTwentyTimes downloads a file through connections that break, each time from where
// it has got to, as long as it is the same file.
func cutTwentyTimes(t *testing.T, url string, data []byte) {
	t.Helper()
	const cuts = 20
	ends := []int{len(data)}
	for range cuts {
		ends = append(ends, rand.IntN(len(data)))
	}
	slices.Sort(ends)
	var got []byte
	tag := ask(t, http.MethodHead, url, "").header.Get("ETag")
	for _, end := range ends {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(got)))
		req.Header.Set("If-Range", tag)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, end-len(got))
		_, err = io.ReadFull(resp.Body, part)
		_ = resp.Body.Close() // it is cut
		if err != nil || resp.StatusCode != http.StatusPartialContent || resp.Header.Get("ETag") != tag {
			t.Fatalf("from %d on: %v, %d %v", len(got), err, resp.StatusCode, resp.Header)
		}
		got = append(got, part...)
	}
	if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("a download that was cut %d times has %d bytes, which differ from the %d", cuts, len(got), len(data))
	}
}
