package oss

import (
	"context"
	"crypto/md5" // Content-MD5, the check sum that OSS knows
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// errStopped is what reading ends with after stop.
var errStopped = errors.New("the upload has ended")

// exactReader yields exactly as many bytes as were announced. The last ones are
// kept back until it is certain that no more follow, so that a server never has
// a whole object where the body is too long.
type exactReader struct {
	ctx context.Context

	mu   sync.Mutex
	r    io.Reader
	left int64
	err  error // of the body; nothing is read after it
	done bool  // stopped

	passed hash.Hash // SHA-256 of what was read
}

// Read implements io.Reader.
func (b *exactReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.done:
		return 0, errStopped
	case b.err != nil:
		return 0, b.err
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case b.left == 0:
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.passed.Write(p[:n])
	switch {
	case b.left == 0:
		if b.err = atEnd(b.r, err); b.err != nil {
			return 0, b.err
		}
	case errors.Is(err, io.EOF):
		b.err = fmt.Errorf("it is %d bytes shorter than announced: %w", b.left, io.ErrUnexpectedEOF)
	case err != nil:
		b.err = err
	}
	return n, b.err
}

// atEnd returns nil if nothing follows in r, whose last Read returned err.
func atEnd(r io.Reader, err error) error {
	var extra [1]byte
	for err == nil {
		var n int
		if n, err = r.Read(extra[:]); n > 0 {
			return errors.New("it is longer than announced")
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// drain is Read of an empty body.
func (b *exactReader) drain() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = atEnd(b.r, nil)
	return b.err
}

// sum returns the MD5 sum of a body that can seek, in Base64, and goes back to
// its beginning; nil where it cannot. A body of another size is an error.
func (b *exactReader) sum() (*string, error) {
	seeker, ok := b.r.(io.ReadSeeker)
	if !ok {
		return nil, nil // a pointer is the SDK's way to leave a header out
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil { // a pipe is an os.File too
		return nil, nil //nolint:nilerr // such a body is read once
	}
	md := md5.New()
	first := &exactReader{ctx: b.ctx, r: seeker, left: b.left, passed: sha256.New()}
	if _, err := io.Copy(md, first); err != nil {
		b.err = first.err
		return nil, err
	}
	if _, err := seeker.Seek(start, io.SeekStart); err != nil {
		b.err = fmt.Errorf("go back to its beginning: %w", err)
		return nil, b.err
	}
	text := base64.StdEncoding.EncodeToString(md.Sum(nil))
	return &text, nil
}

// whole returns the SHA-256 sum of what was read.
func (b *exactReader) whole() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passed.Sum(nil), nil
}

// stop waits for a Read that is under way, allows no more, and returns what was
// wrong with the body.
func (b *exactReader) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	return b.err
}
