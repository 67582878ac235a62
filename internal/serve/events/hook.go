package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const (
	// hookParallel is how many processes of one hook run at once.
	hookParallel = 2
	// hookGrace is how long the pipes of a command that was ended are waited for.
	hookGrace = 2 * time.Second
)

// hook gives events to a command: on its standard input, without a shell.
type hook struct{ command []string }

// hookVariables are what a command has of the environment. The rest may have secrets of
// this program.
var hookVariables = []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT"}

func (h hook) send(ctx context.Context, m message) answer {
	cmd := exec.CommandContext(ctx, h.command[0], h.command[1:]...) //nolint:gosec // it is the configuration's
	cmd.Stdin = bytes.NewReader(m.body)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = hookGrace
	ownGroup(cmd)
	cmd.Env = []string{"LIVE777_EVENT=" + m.kind, "LIVE777_EVENT_ID=" + m.id, "LIVE777_EVENT_SUBJECT=" + m.subject}
	for _, name := range hookVariables {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	err := cmd.Run()
	if err == nil {
		return answer{}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ctx.Err() != nil {
			err = fmt.Errorf("it was ended after events.hook_timeout_seconds: %w", err)
		}
		return answer{status: exit.ExitCode(), err: fmt.Errorf("the command failed: %w: %s", err, said)}
	}
	return answer{err: fmt.Errorf("run the command: %w", err)}
}

func (hook) close() {}

// tail keeps the end of what a command says.
type tail struct{ b []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxError):]...)
	t.b = t.b[max(0, len(t.b)-maxError):]
	return len(p), nil
}

// String returns what was kept, in one line.
func (t *tail) String() string { return shorten(string(t.b)) }
