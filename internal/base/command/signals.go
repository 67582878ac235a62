package command

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// insisting are the signals of which a second one ends the process at once: an orderly
// end may take longer than its user has.
var insisting = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}

// endBySignal returns a context that ends with the first of all the signals that would
// else end the process as it stands. One that asks for the goroutines is told them.
func endBySignal(stderr io.Writer) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, ending...)
	go func() {
		s := <-caught
		signal.Reset(insisting...)
		if s == syscall.SIGQUIT {
			dump(stderr)
		}
		cancel()
	}()
	return ctx
}

// maxDump bounds what is written of the goroutines.
const maxDump = 16 << 20

// dump writes what all goroutines do. Where that fails, nobody is left to tell.
func dump(w io.Writer) {
	stacks := make([]byte, maxDump)
	_, _ = w.Write(stacks[:runtime.Stack(stacks, true)])
}

// outlive keeps the process alive when its terminal is closed and when nobody reads its
// log any more: both would end it with its recordings unsealed. The caller calls stop.
// With SIGHUP reload is called.
func outlive(reload func()) (stop func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGPIPE)
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case s := <-caught:
				// Of a broken pipe nothing is said: it may be that of the log.
				if s == syscall.SIGHUP {
					reload()
				}
			case <-ended:
				return
			}
		}
	}()
	// The signals stay caught: an orderly end is under way when this is called.
	return func() {
		close(ended)
		<-left
	}
}
