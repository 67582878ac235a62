package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// wire is a client's connection that can send a file by itself.
type wire struct {
	*httptest.ResponseRecorder
	deadlines, files int
}

// SetWriteDeadline is found by http.ResponseController.
func (c *wire) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() {
		c.deadlines++
	}
	return nil
}

// ReadFrom implements io.ReaderFrom.
func (c *wire) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.files++
		}
	}
	return io.Copy(struct{ io.Writer }{c.ResponseRecorder}, src)
}

// TestResponseSendsFiles: a file is handed to the connection in pieces with a deadline
// each, and is counted.
func TestResponseSendsFiles(t *testing.T) {
	const size = 2*piece + 1000
	name := filepath.Join(t.TempDir(), "object")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := &wire{ResponseRecorder: httptest.NewRecorder()}
	w := newResponse(c, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), time.Minute)
	n, err := io.Copy(w, io.LimitReader(f, size))
	if n != size || err != nil || c.Body.Len() != size || w.bytes != size || w.status != http.StatusOK {
		t.Errorf("%d bytes, %v; %d came, %d counted, status %d", n, err, c.Body.Len(), w.bytes, w.status)
	}
	if c.files != 3 || c.deadlines != 3 {
		t.Errorf("%d files with %d deadlines, want 3", c.files, c.deadlines)
	}
}

// TestResponseEndsEarly: what ends before its length is not waited for.
func TestResponseEndsEarly(t *testing.T) {
	c := &wire{ResponseRecorder: httptest.NewRecorder()}
	w := newResponse(c, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), time.Minute)
	r, other := io.Pipe()
	go func() {
		_, _ = other.Write([]byte("abc"))
		_ = other.Close()
	}()
	if n, err := w.ReadFrom(r); n != 3 || err != nil || c.Body.String() != "abc" {
		t.Errorf("%d bytes, %v, %q", n, err, c.Body)
	}
}
