package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// service is a server that can be killed and started again, where it was.
type service struct {
	*server
	binary string
	token  string // that requests are sent with; "" for none
}

// newService makes a server with a configuration file, in which %s is replaced by
// its address, and starts it.
func newService(t *testing.T, name, config string) *service {
	t.Helper()
	address := portlock.Address(t)
	binary, err := filepath.Abs(filepath.Join(repository, "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &service{binary: binary, server: &server{t: t, url: "http://" + address, dir: t.TempDir(), log: &logtest.Buffer{}}}
	if err := os.WriteFile(filepath.Join(p.dir, name+".toml"), fmt.Appendf(nil, config, address), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.stop(syscall.SIGKILL) // how it ends does not matter any more
		if t.Failed() {
			t.Logf("the log of %s:\n%s", p.binary+" "+p.url, p.log)
		}
	})
	p.start()
	return p
}

// start starts the program and waits until it answers.
func (p *service) start() {
	p.t.Helper()
	p.ended, p.done = false, make(chan error, 1)
	p.cmd = exec.CommandContext(context.Background(), p.binary)
	p.cmd.Dir, p.cmd.Stderr = p.dir, p.log
	if err := p.cmd.Start(); err != nil {
		p.ended = true
		p.t.Fatalf("the programs are not built, run make build: %v", err)
	}
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(p.cmd, p.done)
	await.Until(p.t, p.binary+" answers", func() bool {
		select {
		case err := <-p.done:
			p.ended = true
			p.t.Fatalf("%s ended: %v", p.binary, err)
		default:
		}
		return p.get("/api/info", nil) == http.StatusOK
	})
}

// get decodes the answer of a GET into out, if that is not nil. A server that does
// not answer has the status 0.
func (p *service) get(path string, out any) int {
	a := p.ask(http.MethodGet, path, "")
	if out != nil && json.Unmarshal(a.body, out) != nil {
		return 0
	}
	return a.status
}

// answer is a response.
type answer struct {
	status int // 0 where none came
	header http.Header
	body   []byte
}

// ask sends a request, whose headers are pairs of names and values. A redirect is an
// answer.
func (p *service) ask(method, path, body string, header ...string) answer {
	if p.token != "" {
		header = append(header, "Authorization", "Bearer "+p.token)
	}
	return ask(p.t, method, p.url+path, body, header...)
}

// ask is the same of any URL.
func ask(t *testing.T, method, url, body string, header ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// recordings lists all recordings of the streams.
func (p *service) recordings(streams []string) (list []media.Recording, ok bool) {
	for _, stream := range streams {
		var page struct {
			Recordings []media.Recording `json:"recordings"`
		}
		if p.get("/api/playback/"+stream+"?limit=200", &page) != http.StatusOK {
			return nil, false
		}
		list = append(list, page.Recordings...)
	}
	return list, true
}

// publishKeyed is publish of H264 and Opus by a sender that answers requests for key frames,
// as whatever is to be recorded from the middle on needs it.
func (p *service) publishKeyed(stream string) *publisher {
	p.t.Helper()
	return publish(p.t, load.Options{
		URL: p.url + "/whip/" + stream, Video: source(p.t, "h264_baseline.h264"), Audio: source(p.t, "opus_stereo.ogg"),
		SenderReports: true, KeyFrameOnPLI: true,
	})
}
