//go:build linux

package command

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asProgram has the test's own binary be a program that says when it has sealed.
const asProgram = "COMMAND_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	service := &Service[nothing]{
		Name: "sealer",
		Load: func(string, bool, Surroundings) (nothing, *slog.Logger, error) {
			return nothing{}, slog.New(slog.NewTextHandler(os.Stderr, nil)), nil
		},
		New: func(context.Context, nothing, string, *slog.Logger) (Server, error) { return sealer{}, nil },
	}
	program := Program{Name: "sealer", Commands: map[string]Command{Default: {Declare: service.Serve}}}
	os.Args = os.Args[:1]
	program.Main()
}

type nothing struct{}

func (nothing) Print(io.Writer) error { return nil }

type sealer struct{}

func (sealer) Welcome(w io.Writer) { fmt.Fprintln(w, "runs") }

func (sealer) Run(ctx context.Context) error {
	<-ctx.Done()
	slog.Error("seals") // to a pipe that may be broken
	_, err := fmt.Fprintln(os.Stdout, "sealed")
	return err
}

// process is a program that runs.
type process struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, stderr *os.File) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stderr = &p.stderr
	if stderr != nil {
		p.Stderr = stderr
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if line, err := p.out.ReadString('\n'); line != "runs\n" {
		t.Fatalf("it begins with %q, %v", line, err)
	}
	return p
}

// seals tells that the process ends, with its recordings sealed.
func (p *process) seals(t *testing.T) {
	t.Helper()
	line, _ := io.ReadAll(p.out)
	if err := p.Wait(); err != nil || string(line) != "sealed\n" {
		t.Errorf("it ends with %v, and says %q", err, line)
	}
}

func (p *process) send(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestSignals sends a program each signal that there is. It seals or goes on.
func TestSignals(t *testing.T) {
	for _, s := range ending {
		p := start(t, nil)
		p.send(t, s.(syscall.Signal))
		p.seals(t)
		if strings.Contains(p.stderr.String(), "goroutine 1 ") != (s == syscall.SIGQUIT) {
			t.Errorf("the goroutines: %.200q", p.stderr.String())
		}
		if t.Failed() {
			t.Fatalf("the signal was %v", s)
		}
	}
	p := start(t, nil)
	for s := syscall.Signal(1); s <= 64; s++ {
		stops := s == syscall.SIGSTOP || s == syscall.SIGTSTP || s == syscall.SIGTTIN || s == syscall.SIGTTOU
		ends := s == syscall.SIGKILL || s >= 32 && s <= 34 // those are of threads in libc: Go lets nobody have them
		for _, e := range ending {
			ends = ends || s == e
		}
		if !stops && !ends {
			p.send(t, s)
		}
	}
	p.send(t, syscall.SIGTERM)
	p.seals(t)
	if !strings.Contains(p.stderr.String(), "SIGHUP changes nothing") {
		t.Errorf("the log does not tell of SIGHUP: %.200q", p.stderr.String())
	}
}

// TestLogIsNotRead breaks the pipe that a program logs into: a write there would end
// the process.
func TestLogIsNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, w)
	_, _ = r.Close(), w.Close()
	p.send(t, syscall.SIGHUP) // which is logged, into the broken pipe
	p.send(t, syscall.SIGTERM)
	p.seals(t)
}
