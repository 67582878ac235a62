package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/testkit/load"
)

// bystanderURL is the variable by which a process of this test is told to publish
// there, and nothing else.
const bystanderURL = "E2E_BYSTANDER_URL"

// TestMain runs the tests, or a publisher for one of them: adversaries in the same
// process would keep it from sending when it has to.
func TestMain(m *testing.M) {
	url := os.Getenv(bystanderURL)
	if url == "" {
		os.Exit(m.Run())
	}
	if err := publishUntilTold(url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// publishUntilTold publishes until the process is told to end, and writes what was
// sent.
func publishUntilTold(url string, w io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	video, err := load.Open(filepath.Join(repository, "testdata", "media", "h264_baseline.h264"))
	if err != nil {
		return err
	}
	audio, err := load.Open(filepath.Join(repository, "testdata", "media", "opus_stereo.ogg"))
	if err != nil {
		return err
	}
	p, err := load.New(load.Options{URL: url, Token: attackToken, Video: video, Audio: audio, SenderReports: true})
	if err != nil {
		return err
	}
	log, err := p.Run(ctx)
	if err != nil {
		return err
	}
	return log.Export(w)
}

// publishApart is publish in a process of its own.
func (s *server) publishApart(stream string) *publisher {
	s.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	var sent bytes.Buffer
	cmd := exec.CommandContext(context.Background(), binary)
	cmd.Env = append(os.Environ(), bystanderURL+"="+s.url+"/whip/"+stream)
	cmd.Stdout, cmd.Stderr = &sent, s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &publisher{t: s.t, done: make(chan struct{}), cancel: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}
	go func() {
		defer close(p.done)
		if p.err = cmd.Wait(); p.err == nil {
			p.log, p.err = load.ReadLog(&sent)
		}
	}()
	s.t.Cleanup(p.end)
	return p
}
