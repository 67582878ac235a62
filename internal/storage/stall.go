package storage

import (
	"context"
	"io"
	"net"
	"time"
)

// StallConn returns conn, of which a Read or Write fails that makes no progress for
// timeout: an http.Transport has no timeout for bodies. The time in which nobody
// reads, since a viewer pauses, does not count.
func StallConn(conn net.Conn, timeout time.Duration) net.Conn {
	return &stallConn{Conn: conn, timeout: timeout}
}

type stallConn struct {
	net.Conn
	timeout time.Duration
}

// Read implements net.Conn.
func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn. It moves the deadline of reading too: net/http waits
// for the answer while it is still sending the request.
func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// ContextReader returns a reader of r that ends with ctx's error when ctx has ended.
func ContextReader(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
