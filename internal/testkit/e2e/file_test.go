package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// A file over a rotation is exact: a seek in a browser shows the very picture, and programs
// read it without a word. In Firefox only if it begins with a key frame: what an edit list
// hides it takes for the beginning (Mozilla's bug 1735300).
func TestFileInPlayers(t *testing.T) {
	t.Parallel()
	video := shapes.Take{Video: shapes.Video{Codec: "H264", Width: 640, Height: 360, GOP: 2 * shapes.Rate, Counts: true}}
	const lasts = 10 * time.Second // as many pictures as there are codes
	made, s := recordShape(t, shapes.Shape{
		Name: "file", For: lasts, Rotate: 6 * time.Second, Pubs: []shapes.Publication{{To: lasts, Video: []shapes.Take{video}, Audio: &shapes.Take{}}},
	})
	const key, first, last = 50, 82, 240 // pictures
	at := func(picture int) string {
		return strconv.FormatFloat(float64(made.Zero.UnixMilli())/1000+float64(picture)/shapes.Rate, 'f', 3, 64)
	}
	file := func(from, to int) string {
		return s.url + "/api/archive/" + shapes.Stream + "/" + at(from) + "/" + at(to) + "/" + media.FileName
	}
	stage := openStage(t, 1, "chromium", "firefox")
	pictures := []int{120, first, last - 1, 149, 150, 151, 83, 199, 200, 99, 100}
	seekIn(t, stage, "chromium", file(first, last), first, pictures)
	for _, browser := range []string{"chromium", "firefox"} {
		seekIn(t, stage, browser, file(key, last), key, pictures)
	}
	url := file(first, last)
	data := ask(t, http.MethodGet, url, "").body
	path := filepath.Join(t.TempDir(), media.FileName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	silent(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-")
	silent(t, "ffprobe", "-v", "warning", path)
	inVLC(t, url, data)
	if _, err := exec.LookPath("MP4Box"); err != nil {
		t.Logf("NOT RUN: MP4Box, which not every distribution has: %v", err)
	} else {
		silent(t, "MP4Box", "-quiet", "-logs=all@warning", "-diso", path, "-out", path+".xml")
	}
	cutTwentyTimes(t, url, data)
}

// seekIn seeks pictures in a file that begins with the first one.
func seekIn(t *testing.T, stage *players.Stage, browser, url string, first int, pictures []int) {
	t.Helper()
	job := players.Job{Player: "file", URL: url, Limit: 60}
	for _, n := range pictures {
		job.Seeks = append(job.Seeks, (float64(n-first)+0.5)/shapes.Rate)
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
	if fmt.Sprint(shown) != fmt.Sprint(pictures) || r.End != "ended" {
		t.Errorf("%s: seeks to the pictures %v show %v, %s %v %s", browser, pictures, shown, r.End, r.Errors, r.Note)
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

// inVLC has VLC read a file from a URL, and hand on what it finds in it.
func inVLC(t *testing.T, url string, data []byte) {
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
	_, content, _ := bytes.Cut(data, []byte("mdat"))
	if n := stdout.Len(); n < len(content)*95/100 || n > len(content) { // sound before the beginning it leaves out
		t.Errorf("VLC found %d bytes of media in %d", n, len(content))
	}
	for line := range strings.SplitSeq(stderr.String(), "\n") {
		// It "warns" of each edit list and each table of times that it finds.
		found := strings.Contains(line, "elst box found") || strings.Contains(line, "STTS table of")
		if of := strings.Contains(line, "mp4 ") || strings.Contains(line, "decoder") || strings.Contains(line, "demux"); of && !found &&
			(strings.Contains(line, " warning: ") || strings.Contains(line, " error: ")) {
			t.Errorf("VLC: %s", line)
		}
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
