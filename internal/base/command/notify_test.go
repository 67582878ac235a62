package command

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
)

// served is a server that runs until it may end, whatever its context does.
type served struct{ end chan struct{} }

func (served) Welcome(io.Writer) {}

func (s served) Run(context.Context) error {
	<-s.end
	return nil
}

// A systemd hears that the server runs, that it is alive, also while it stops, and that
// it stops.
func TestSupervisor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	hear := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		for { // others than those of the watchdog come once
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(buf[:n]); got == want {
				return
			} else if got != "WATCHDOG=1" {
				t.Fatalf("it tells %q, not %q", got, want)
			}
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	server, ended := served{make(chan struct{})}, make(chan error, 1)
	s := findSupervisor([]string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=20000"}, slog.Default())
	go func() { ended <- attended(ctx, s, server) }()
	hear("READY=1")
	hear("WATCHDOG=1")
	stop()
	hear("STOPPING=1")
	hear("WATCHDOG=1")
	close(server.end)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	done := served{make(chan struct{})}
	close(done.end)
	if err := attended(t.Context(), findSupervisor(nil, slog.Default()), done); err != nil {
		t.Error(err)
	}
}
