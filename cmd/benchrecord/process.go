package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	ticksPerSecond = 100 // USER_HZ, which is the same on all machines that Go knows
	startTimeout   = 20 * time.Second
	endTimeout     = 30 * time.Second
	pollEvery      = 50 * time.Millisecond
)

var client = &http.Client{Timeout: startTimeout}

// process is a server that runs.
type process struct {
	cmd  *exec.Cmd
	dir  string
	log  output // what it writes
	base string // its URL, where it tells it
	done chan error
}

// output is what a process writes, while others read it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs the command that prepare returns, in a new folder, which close removes.
func start(ctx context.Context, prepare func(dir string) ([]string, error)) (*process, error) {
	dir, err := os.MkdirTemp("", "benchrecord")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	p := &process{dir: dir, done: make(chan error, 1)}
	line, err := prepare(dir)
	if err == nil {
		p.cmd = exec.CommandContext(ctx, line[0], line[1:]...)
		p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.log, &p.log
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a server: %w", err), os.RemoveAll(dir))
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// await waits until ok is content, or the process has ended.
func (p *process) await(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !ok() {
		select {
		case err := <-p.done:
			p.done <- err
			return fmt.Errorf("%s: %s ended (%w):\n%s", what, p.cmd.Path, err, p.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// close ends the process and removes its folder.
func (p *process) close() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(endTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return os.RemoveAll(p.dir)
}

// usage is what a process has used since it began.
type usage struct {
	cpu     time.Duration
	rss     int64 // bytes, now
	written int64 // bytes, by write(2) and its kin
	writes  int64 // calls of them
	mallocs float64
}

// usage reads /proc, and the metrics of a node.
func (p *process) usage(ctx context.Context, metrics bool) (u usage, err error) {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("read what the server uses: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
	fields := strings.Fields(rest)                // from the third field of proc(5) on
	if len(fields) < 22 {
		return u, fmt.Errorf("%s/stat has %d fields", dir, len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read what the server uses: %w", err)
		}
		ticks += n
	}
	u.cpu = time.Duration(ticks) * time.Second / ticksPerSecond
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		return u, fmt.Errorf("read what the server uses: %w", err)
	}
	u.rss = pages * int64(os.Getpagesize())
	if text, err := os.ReadFile(filepath.Join(dir, "io")); err == nil {
		u.written, u.writes = number(string(text), "wchar:"), number(string(text), "syscw:")
	}
	if metrics {
		u.mallocs, err = p.scrape(ctx)
	}
	return u, err
}

// number finds a line that begins with a word, and returns the number behind it.
func number(text, word string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// scrape reads how many objects a node has allocated.
func (p *process) scrape(ctx context.Context) (mallocs float64, err error) {
	body, err := request(ctx, http.MethodGet, p.base+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("the metrics do not tell go_memstats_mallocs_total")
}

// request returns the body of an answer of 200.
func request(ctx context.Context, method, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, body)
	}
	return body, err
}
