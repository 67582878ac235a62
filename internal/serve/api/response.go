package api

import (
	"io"
	"math"
	"net/http"
	"time"
)

// response notes what was answered and gives each write a deadline, so that a
// client that stops reading does not hold a goroutine and a file for ever. Not
// safe for concurrent use.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration // of one write
	status  int           // 0 until the header is written
	bytes   int64
	// answers is called with the status when the answer begins.
	answers func(status int)
}

// newResponse wraps w. timeout is for each write, and for the whole of the
// request's body; net/http takes the read deadline away at the body's end.
func newResponse(w http.ResponseWriter, r *http.Request, timeout time.Duration) *response {
	rw := &response{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
	// Errors: httptest's recorder has no deadlines, and needs none. The deadline
	// of the connection's last response may have passed by now.
	_ = rw.control.SetWriteDeadline(time.Time{})
	if r.ContentLength != 0 {
		_ = rw.control.SetReadDeadline(time.Now().Add(timeout))
	}
	return rw
}

func (w *response) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// finish sets the deadline for what net/http still has to write after the handler.
func (w *response) finish() { w.extend() }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if status >= 200 { // informational ones may precede the status
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin notes the status, the first one.
func (w *response) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.answers != nil {
		w.answers(status)
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// piece is how much of a file is sent with one deadline.
const piece = 1 << 20

// ReadFrom implements io.ReaderFrom, so that the kernel sends a file by itself where the
// connection lets it. Each piece gets a deadline.
func (w *response) ReadFrom(src io.Reader) (sum int64, err error) {
	w.begin(http.StatusOK)
	limited, ok := src.(*io.LimitedReader) // net finds a file behind one of these, and not behind two
	if !ok {
		limited = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	for limited.N > 0 {
		w.extend()
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, piece)}
		wanted := part.N
		n, err := io.Copy(w.ResponseWriter, part)
		sum += n
		w.bytes += n
		limited.N -= n
		if err != nil || n < wanted {
			return sum, err
		}
	}
	return sum, nil
}

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
