package storage

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// TestStallConn: who waits for a peer that does nothing is released; a pause
// between two Reads does not count.
func TestStallConn(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &stallConn{Conn: ours, timeout: 20 * time.Millisecond}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: error %v, want os.ErrDeadlineExceeded", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: error %v, want os.ErrDeadlineExceeded", err)
	}
	// The deadlines of these calls have passed, and it can be read.
	go func() { _, _ = theirs.Write([]byte("x")) }()
	c.timeout = 10 * time.Second
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read after a pause = %d, %v", n, err)
	}
}
