package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// watch has a client publish once more, to a viewer in Chromium: beside the recording that is
// measured, a browser would take the machine from the client.
func (b *bench) watch(ctx context.Context, c *client, stream string, r *row) error {
	t := &trial{bench: b, stream: stream}
	if why := c.prepare(ctx, t); why != "" {
		return errors.New(why)
	}
	v, err := b.view(ctx, stream)
	if err != nil {
		return err
	}
	err = c.publish(ctx, t)
	seen, viewErr := v.end()
	if err := errors.Join(err, viewErr); err != nil {
		return err
	}
	r.watched, r.seenPicture, r.seenSound = t.published, seen.Pictures, seen.Sounds
	if seen.Pictures == 0 || seen.Sounds == 0 {
		return errors.New("a viewer saw no picture, or heard no sound")
	}
	return nil
}

// viewer is a browser that watches a stream over WHEP.
type viewer struct {
	cmd    *exec.Cmd
	stdin  io.Closer // it ends with it
	stdout io.Reader
	stderr *bufio.Reader
}

// view starts a viewer, which waits for its stream.
func (b *bench) view(ctx context.Context, stream string) (*viewer, error) {
	cmd := exec.CommandContext(ctx, "node", "web/e2e/view.mjs", "--base", b.front, "--stream", stream,
		"--timeout", fmt.Sprint(int((time.Duration(b.o.seconds)*time.Second + 3*time.Minute).Seconds())))
	cmd.Dir = b.o.repository
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	stderr, errErr := cmd.StderrPipe()
	if err := errors.Join(inErr, outErr, errErr, cmd.Start()); err != nil {
		return nil, fmt.Errorf("start the viewer: %w", err)
	}
	v := &viewer{cmd: cmd, stdin: stdin, stdout: stdout, stderr: bufio.NewReader(stderr)}
	if line, err := v.stderr.ReadString('\n'); line != "ready\n" {
		_, endErr := v.end()
		return nil, fmt.Errorf("start the viewer: %w: %s", errors.Join(err, endErr), line)
	}
	return v, nil
}

// seen is how many seconds a viewer showed.
type seen struct{ Pictures, Sounds float64 }

// end ends a viewer and returns what it showed.
func (v *viewer) end() (s seen, err error) {
	_ = v.stdin.Close()
	out, outErr := io.ReadAll(v.stdout)
	said, errErr := io.ReadAll(v.stderr)
	if err := errors.Join(outErr, errErr, v.cmd.Wait()); err != nil {
		return s, fmt.Errorf("%w: %s", err, said)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("read what the viewer says: %w: %s", err, out)
	}
	return s, nil
}
