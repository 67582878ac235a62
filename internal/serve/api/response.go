package api

import (
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

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
