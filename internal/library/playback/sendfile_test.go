package playback

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// wire is a client's connection: it notes whether it is given a file.
type wire struct {
	*httptest.ResponseRecorder
	file bool
}

// ReadFrom implements io.ReaderFrom.
func (w *wire) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		_, w.file = limited.R.(*os.File)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseRecorder}, src)
}

// TestFileIsSent: the connection is given the file itself, so that the kernel can send it,
// and sends the same as if the bytes went through this process.
func TestFileIsSent(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	store := fileStore(t, content)
	for name, test := range map[string]struct {
		method, header string
		status         int
		want           []byte
		file           bool
	}{
		"whole":          {http.MethodGet, "", http.StatusOK, content, true},
		"range":          {http.MethodGet, "bytes=1000005-2000004", http.StatusPartialContent, content[1000005:2000005], true},
		"last bytes":     {http.MethodGet, "bytes=-7", http.StatusPartialContent, content[len(content)-7:], true},
		"head":           {http.MethodHead, "", http.StatusOK, nil, false},
		"beyond the end": {http.MethodGet, "bytes=4000000-", http.StatusOK, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequestWithContext(t.Context(), test.method, "/", http.NoBody)
			if test.header != "" {
				r.Header.Set("Range", test.header)
			}
			reader := storage.NewReader(t.Context(), store, storage.Object{Key: "a/b", Size: int64(len(content))})
			cut, err := serve(w, r, time.Time{}, reader)
			if closed := reader.Close(); cut != nil || closed != nil || (err != nil) != (name == "beyond the end") {
				t.Fatal(cut, err, closed)
			}
			if w.Code != test.status || !bytes.Equal(w.Body.Bytes(), test.want) || w.file != test.file {
				t.Errorf("status %d, %d bytes, given a file: %t", w.Code, w.Body.Len(), w.file)
			}
		})
	}
}

// TestFileIsShorter: a file that has become shorter since it was looked at breaks off, and
// that is told.
func TestFileIsShorter(t *testing.T) {
	store := fileStore(t, []byte("0123456789"))
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	reader := storage.NewReader(t.Context(), store, storage.Object{Key: "a/b", Size: 20})
	defer func() { _ = reader.Close() }()
	cut, err := serve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), time.Time{}, reader)
	if !errors.Is(cut, io.ErrUnexpectedEOF) || err != nil || w.Body.String() != "0123456789" {
		t.Errorf("cut: %v, error: %v, sent %q", cut, err, w.Body)
	}
}

// fileStore is a local folder with the object a/b.
func fileStore(t *testing.T, content []byte) *fs.Store {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "a", "b"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := fs.New(root, fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}
