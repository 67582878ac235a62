package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/lipsync"
)

// bench is a node, a manager of it where one is asked for, and what the clients need.
type bench struct {
	o        *options
	stderr   io.Writer
	dir      string // of this run
	root     string // of the recordings
	url      string // of the node
	front    string // of what clients publish to and watch: the node, or the manager
	programs []*program
	places   []*place
}

const nodeConfig = `[http]
listen = "127.0.0.1:0"
[webrtc]
listen = "127.0.0.1:0"
[recorder]
auto_streams = ["*"]
segment_seconds = 2
reconnect_seconds = 2
`

func newBench(ctx context.Context, o *options, stderr io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	b := &bench{o: o, stderr: stderr, dir: dir, root: filepath.Join(dir, "storage")}
	if err := b.start(ctx); err != nil {
		b.close()
		return nil, err
	}
	b.places = append(b.places, &place{scratch: dir})
	if root, err := filepath.Abs(o.unstable); err == nil {
		if _, err := os.Stat(filepath.Join(root, "bin", "sh")); err == nil {
			b.places = append([]*place{{root: root, scratch: filepath.Join(root, "tmp", filepath.Base(dir))}}, b.places...)
			err := os.MkdirAll(b.places[0].scratch, 0o755)
			if err != nil {
				b.close()
				return nil, fmt.Errorf("make folder: %w", err)
			}
		}
	}
	return b, nil
}

// managerConfig is of a manager of one node; %s is its way of signalling, and the node's URL.
const managerConfig = `[http]
listen = "127.0.0.1:0"
[signalling]
mode = %q
[[nodes]]
alias = "node"
url = %q
`

// start runs the node, and the manager.
func (b *bench) start(ctx context.Context) (err error) {
	if b.url, err = b.run(ctx, "live777", nodeConfig); err != nil {
		return err
	}
	b.front = b.url
	if b.o.through != "" {
		b.front, err = b.run(ctx, "liveman", fmt.Sprintf(managerConfig, b.o.through, b.url))
	}
	return err
}

// program is one of ours that runs.
type program struct {
	cmd   *exec.Cmd
	ended chan error
}

// run runs a program of bin in the bench's folder, and returns where it listens.
func (b *bench) run(ctx context.Context, name, config string) (url string, err error) {
	path, err := filepath.Abs(filepath.Join(b.o.repository, "bin", name))
	if err != nil {
		return "", fmt.Errorf("find bin/%s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, name+".toml"), []byte(config), 0o600); err != nil {
		return "", fmt.Errorf("configure %s: %w", name, err)
	}
	log, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return "", fmt.Errorf("make log: %w", err)
	}
	p := &program{exec.CommandContext(ctx, path), make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stderr = b.dir, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return "", errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return "", errors.Join(fmt.Errorf("start %s (make build): %w", name, err), log.Close())
	}
	b.programs = append(b.programs, p)
	lines := bufio.NewScanner(stdout)
	for url == "" && lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "http://"); ok {
			url = "http://" + strings.TrimRight(at, "/ ")
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		p.ended <- errors.Join(p.cmd.Wait(), log.Close())
	}()
	if url == "" {
		return "", fmt.Errorf("%s did not say where it listens", name)
	}
	return url, nil
}

func (b *bench) close() {
	for _, p := range slices.Backward(b.programs) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.ended
	}
	for _, p := range b.places {
		if b.o.keep {
			fmt.Fprintf(b.stderr, "interop: kept %s\n", p.scratch)
		} else {
			_ = os.RemoveAll(p.scratch)
		}
	}
	if !b.o.keep {
		_ = os.RemoveAll(b.dir)
	}
}

// try runs a client and looks at what was recorded.
func (b *bench) try(ctx context.Context, c *client) row {
	r := row{name: c.name}
	t := &trial{bench: b, stream: strings.NewReplacer(" ", "-", ".", "", ",", "", "(", "", ")", "", "=", "-").Replace(strings.ToLower(c.name))}
	if why := c.prepare(ctx, t); why != "" {
		r.absent = why
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Duration(b.o.seconds)*time.Second+6*time.Minute)
	defer cancel()
	failed := func(err error) {
		r.addFault("FAILED: " + lastLine(err))
		fmt.Fprintf(b.stderr, "interop: %s: %v\n", c.name, err)
	}
	if err := c.publish(ctx, t); err != nil {
		failed(err)
	}
	r.published, r.version = t.published, t.version
	if err := b.judge(ctx, t, &r); err != nil {
		failed(err)
		return r
	}
	if err := b.watch(ctx, c, t.stream+"-watched", &r); err != nil {
		failed(fmt.Errorf("watch: %w", err))
	}
	return r
}

func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	text := strings.ReplaceAll(lines[len(lines)-1], "|", "/")
	if len(text) > 160 {
		text = text[:160] + "…"
	}
	return text
}

// judge waits for the end of the recording and measures it.
func (b *bench) judge(ctx context.Context, t *trial, r *row) error {
	info, err := b.sealed(ctx, t.stream)
	if err != nil {
		return err
	}
	r.verdict, r.remark, r.periods = string(info.Status), info.Reason, info.Periods
	for _, t := range info.Tracks {
		switch {
		case t.Kind == media.Audio.String():
			r.filledSound = t.FilledSeconds
		case t.Layer == 0:
			r.filledPicture = t.FilledSeconds
		}
	}
	store, err := fs.New(b.root, fs.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	rec, err := verify.ReadRecording(ctx, store, info.RecordDir)
	if err != nil {
		return err
	}
	for _, p := range rec.Problems {
		r.addFault("verify: " + p.String())
	}
	found, err := lipsync.Recorded(ctx, b.root, rec)
	if err != nil {
		return err
	}
	r.picture, r.sound = found.Picture, found.Sound
	r.offset, r.hasOffset = found.Offset()
	if t.local != "" {
		own, err := lipsync.Find(ctx, "-i", t.local)
		if err != nil {
			return fmt.Errorf("the client's own recording: %w", err)
		}
		r.reference, r.hasOwn = own.Offset()
	}
	r.made, r.hasMade = t.made, t.hasMade
	if apart, ok := r.apart(); ok && apart.Abs() > maxOffset {
		r.addFault(fmt.Sprintf("sound and picture are %v apart", apart.Round(time.Millisecond)))
	}
	return b.show(ctx, info.MPDPath, r)
}

// apart returns by how much the beeps of the recording are later than they were made. A
// browser's own recording does not tell: on a busy machine it is off itself.
func (r *row) apart() (d time.Duration, ok bool) {
	switch {
	case r.hasOffset && r.hasMade:
		return r.offset - r.made, true
	case r.hasOffset && r.hasOwn:
		return r.offset - r.reference, true
	}
	return 0, false
}

// maxOffset is what a recording's lip sync may differ from how it was made.
const maxOffset = 40 * time.Millisecond

// show plays a recording in Chromium.
func (b *bench) show(ctx context.Context, mpd string, r *row) error {
	cmd := exec.CommandContext(ctx, "node", "web/e2e/shown.mjs", "--base", b.url, "--mpd", mpd)
	cmd.Dir = b.o.repository
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("play in Chromium: %w: %s", err, stderr.String())
	}
	var shown struct {
		Pictures, Sounds, Time, Duration float64
		Stood                            bool
	}
	if err := json.Unmarshal(out, &shown); err != nil {
		return fmt.Errorf("play in Chromium: %w: %s", err, out)
	}
	r.played, r.shownPicture, r.shownSound = true, shown.Pictures, shown.Sounds
	if shown.Stood {
		r.addFault(fmt.Sprintf("Chromium stood still at %.1f s of %.1f s", shown.Time, shown.Duration))
	}
	if short := r.unseen(); short > maxUnseen {
		r.addFault(fmt.Sprintf("Chromium does not show %.1f s of what was sent and recorded", short))
	}
	return nil
}

// maxUnseen is how many seconds of a recording a player on a busy machine may leave out.
const maxUnseen = 1.5

// unseen returns how many seconds of picture or sound were sent and recorded, and not shown.
func (r *row) unseen() float64 {
	return max(r.picture.Seconds()-r.filledPicture-r.shownPicture, r.sound.Seconds()-r.filledSound-r.shownSound)
}

// sealed waits for the one recording of a stream to be sealed.
func (b *bench) sealed(ctx context.Context, stream string) (*media.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		all, err := filepath.Glob(filepath.Join(b.root, stream, "*", "recording.json"))
		if err != nil {
			return nil, err
		}
		for _, name := range all {
			data, err := os.ReadFile(name)
			if err != nil {
				continue // it is being replaced
			}
			info := &media.Recording{}
			if json.Unmarshal(data, info) == nil && info.Status != media.StatusRecording {
				return info, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("nothing was recorded")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// awaitMedia waits until the node receives a stream.
func (b *bench) awaitMedia(ctx context.Context, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/api/record/"+stream, http.NoBody)
		if err != nil {
			return err
		}
		var st struct {
			Recording bool `json:"recording"`
		}
		if resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req); err == nil {
			_ = json.NewDecoder(resp.Body).Decode(&st)
			_ = resp.Body.Close()
		}
		if st.Recording {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the client did not publish")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// place is where programs are: this machine, or another system in a folder.
type place struct {
	root    string // empty for this machine
	scratch string // a folder of this run, as this machine sees it
}

// inside returns a path of this machine as the programs of the place see it.
func (p *place) inside(path string) string { return strings.TrimPrefix(path, p.root) }

// has reports whether a file, or a program, is there.
func (p *place) has(name string) bool {
	if strings.Contains(name, "/") {
		_, err := os.Stat(filepath.Join(p.root, name))
		return err == nil
	}
	if p.root == "" {
		_, err := exec.LookPath(name)
		return err == nil
	}
	return p.has("/usr/bin/"+name) || p.has("/usr/local/bin/"+name)
}

// command makes a command that runs there. A system in a folder has what
// programs need of the machine for as long as it runs.
func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	if p.root != "" {
		const enter = `mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"`
		args = slices.Concat([]string{"unshare", "--mount", "sh", "-c", enter, p.root}, args)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = endLimit
	return cmd
}
