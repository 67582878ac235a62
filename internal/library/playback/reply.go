package playback

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// reply holds the status back until there are bytes to follow it:
// http.ServeContent sends it before it has read anything, and an object that is
// deleted at that moment would become a success that is cut off. The statuses of
// conditions and ranges that cannot be met are kept back for good, for package
// api answers errors.
type reply struct {
	http.ResponseWriter
	status int // held back; 0: none
	sent   bool
}

// WriteHeader implements http.ResponseWriter.
func (a *reply) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *reply) Write(p []byte) (int, error) {
	if a.status >= http.StatusBadRequest {
		return len(p), nil // http.ServeContent's words, which are no JSON
	}
	a.send()
	return a.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom for http.ServeContent. Where the content is a file of
// this machine, the kernel sends it without a copy of ours.
func (a *reply) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if ok && a.status < http.StatusBadRequest {
		if b, ok := limited.R.(*body); ok {
			return b.sendTo(a, limited.N)
		}
	}
	return io.Copy(struct{ io.Writer }{a}, src)
}

// send sends the status that was held back.
func (a *reply) send() {
	if !a.sent && a.status != 0 {
		a.ResponseWriter.WriteHeader(a.status)
	}
	a.sent = true
}

// Unwrap lets http.ResponseController find the connection.
func (a *reply) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// serve is http.ServeContent with a bound on ranges, whose error says why nothing
// was sent. What breaks off later, which cut tells, can be told to nobody but the
// log: package http ends the connection, since the length is not as announced.
func serve(w http.ResponseWriter, r *http.Request, modified time.Time, content io.ReadSeeker) (cut, err error) {
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	a, b := &reply{ResponseWriter: w}, &body{content: content}
	http.ServeContent(a, r, "", modified, b)
	failed := b.end()
	switch {
	case a.sent:
		return failed, nil
	case failed != nil:
		err = failed
	case a.status == http.StatusRequestedRangeNotSatisfiable:
		err = fault.Errorf(fault.RangeNotSatisfiable, "the object has no bytes in the range %.100q", r.Header.Get("Range"))
	case a.status == http.StatusPreconditionFailed:
		err = fault.New(fault.PreconditionFailed, "the object is not the one that If-Match or If-Unmodified-Since speaks of")
	case a.status >= http.StatusBadRequest:
		err = fmt.Errorf("serve object: status %d", a.status)
	default:
		a.send() // nothing follows: HEAD, 304, an empty object
		return nil, nil
	}
	for _, name := range []string{"Accept-Ranges", "Content-Length", "Content-Type"} {
		w.Header().Del(name)
	}
	return nil, err
}

// body remembers why reading ended: http.ServeContent does not tell. It leaves a
// goroutine behind that reads several ranges when the client takes no more.
type body struct {
	mu      sync.Mutex
	content io.ReadSeeker
	ended   bool
	err     error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return 0, fs.ErrClosed
	}
	n, err := b.content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// sendTo sends n bytes to a client.
func (b *body) sendTo(a *reply, n int64) (int64, error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return 0, fs.ErrClosed
	}
	var f *os.File
	if content, ok := b.content.(storage.OnDisk); ok {
		f = content.OnDisk()
	}
	b.mu.Unlock()
	if f == nil {
		return io.Copy(struct{ io.Writer }{a}, io.LimitReader(b, n))
	}
	a.send()
	sent, err := io.Copy(a.ResponseWriter, io.LimitReader(f, n))
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, syscall.EIO):
		b.err = err // of the disk; others are of the client
	case err == nil && sent < n:
		b.err = io.ErrUnexpectedEOF
	}
	return sent, errors.Join(err, b.err)
}

// Seek implements io.Seeker.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return 0, fs.ErrClosed
	}
	return b.content.Seek(offset, whence)
}

// end returns why reading ended, nil where nothing went wrong. Nothing is read
// afterwards.
func (b *body) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	return b.err
}
