package command

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// supervisor is a systemd that has started the process and wants to be told how it
// fares: sd_notify(3). Without one nobody is told.
type supervisor struct {
	socket string        // empty: there is none
	every  time.Duration // how often it wants to hear that the process is alive; 0: never
	log    *slog.Logger
}

// findSupervisor looks for what systemd puts into the environment.
func findSupervisor(environ []string, log *slog.Logger) supervisor {
	s := supervisor{log: log}
	for _, variable := range environ {
		switch name, value, _ := strings.Cut(variable, "="); name {
		case "NOTIFY_SOCKET":
			s.socket = value
		case "WATCHDOG_USEC":
			if usec, err := strconv.ParseInt(value, 10, 64); err == nil && usec > 0 {
				s.every = time.Duration(usec) * time.Microsecond / 2 // one that is late is not the end
			}
		}
	}
	return s
}

// tell tells of a state. Who is not told ends the process in time; so does the log.
func (s supervisor) tell(ctx context.Context, state string) {
	if s.socket == "" {
		return
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", s.socket)
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close() // what was written is there
	}
	if err != nil {
		s.log.Warn("systemd was not told", "state", state, "error", err)
	}
}

// attend tells that the process runs, is alive and, when ctx ends, that it stops, until
// done: an orderly end may take longer than a watchdog waits.
func (s supervisor) attend(ctx context.Context, done <-chan struct{}) {
	always := context.WithoutCancel(ctx)
	s.tell(always, "READY=1")
	var tick <-chan time.Time
	if s.every > 0 {
		t := time.NewTicker(s.every)
		defer t.Stop()
		tick = t.C
	}
	stopping := ctx.Done()
	for {
		select {
		case <-tick:
			s.tell(always, "WATCHDOG=1")
		case <-stopping:
			s.tell(always, "STOPPING=1")
			stopping = nil
		case <-done:
			return
		}
	}
}

// attended runs a server while its supervisor is told.
func attended(ctx context.Context, s supervisor, server Server) error {
	done, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		s.attend(ctx, done)
	}()
	err := server.Run(ctx)
	close(done)
	<-told
	return err
}
