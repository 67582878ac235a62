package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
)

// stringBackend has one object and notes what is asked of it.
type stringBackend struct {
	Backend
	content string
	gets    []string
	open    int
}

func (b *stringBackend) Get(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if key != "key" {
		return nil, ErrNotFound
	}
	b.gets = append(b.gets, fmt.Sprintf("%d+%d", offset, length))
	b.open++
	rest := b.content[min(int(offset), len(b.content)):]
	return &countedCloser{strings.NewReader(rest[:min(int(length), len(rest))]), b}, nil
}

type countedCloser struct {
	io.Reader
	b *stringBackend
}

func (c *countedCloser) Close() error { c.b.open--; return nil }

func TestReaderGets(t *testing.T) {
	b := &stringBackend{content: "0123456789"}
	r := NewReader(t.Context(), b, Object{Key: "key", Size: 10})
	for _, whence := range []int{io.SeekEnd, io.SeekStart} { // how http.ServeContent finds the size
		if _, err := r.Seek(0, whence); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.gets) != 0 {
		t.Errorf("Gets before the first Read: %q", b.gets)
	}
	buf := make([]byte, 2)
	for _, want := range []string{"01", "23", "45"} {
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != want {
			t.Errorf("Read = %q, %v; want %q", buf, err, want)
		}
	}
	if _, err := r.Seek(6, io.SeekStart); err != nil { // where it stands
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "67" {
		t.Errorf("Read = %q, %v; want 67", buf, err)
	}
	if _, err := r.Seek(1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "12" {
		t.Errorf("Read after Seek = %q, %v; want 12", buf, err)
	}
	if got := strings.Join(b.gets, " "); got != "0+10 1+9" {
		t.Errorf("Gets: %s; want one for the sequence, one after the seek", got)
	}
	if err := r.Close(); err != nil || b.open != 0 {
		t.Errorf("Close: %v; %d bodies left open", err, b.open)
	}
	if _, err := r.Read(buf); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Read after Close: error %v", err)
	}
}

func TestReaderErrors(t *testing.T) {
	b := &stringBackend{content: "01234"}
	r := NewReader(t.Context(), b, Object{Key: "key", Size: 10})
	if got, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "01234" {
		t.Errorf("an object that became shorter: %q, %v; want ErrUnexpectedEOF", got, err)
	}
	r = NewReader(t.Context(), b, Object{Key: "key", Size: 3})
	if got, err := io.ReadAll(r); err != nil || string(got) != "012" {
		t.Errorf("an object that grew: %q, %v; want what Stat saw", got, err)
	}
	r = NewReader(t.Context(), b, Object{Key: "none", Size: 3})
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing object: %v", err)
	}
	for _, whence := range []int{io.SeekStart, io.SeekCurrent, 7} {
		if _, err := r.Seek(-1, whence); err == nil {
			t.Errorf("Seek(-1, %d): no error", whence)
		}
	}
}
