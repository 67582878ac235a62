package storagetest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// RunPresigner holds a store whose objects have URLs against the contract of
// storage.Presigner.
func RunPresigner(t *testing.T, b storage.Store, p storage.Presigner) {
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for _, key := range []string{"plain", "dir/a b+%25&=?#~/摄像头.m4s"} {
		content := "content of " + key
		put(ctx, t, b, key, content)
		link := presign(ctx, t, p, key, time.Hour)
		if status, got := fetch(ctx, t, http.MethodGet, link, ""); status != http.StatusOK || got != content {
			t.Errorf("GET of %q's URL: status %d, %q", key, status, got)
		}
		if status, got := fetch(ctx, t, http.MethodGet, link, "bytes=3-6"); status != http.StatusPartialContent || got != content[3:7] {
			t.Errorf("GET of a range of %q's URL: status %d, %q", key, status, got)
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			if status, _ := fetch(ctx, t, method, link, ""); status != http.StatusForbidden {
				t.Errorf("%s with %q's URL: status %d, want 403", method, key, status)
			}
		}
		wantContent(ctx, t, b, key, content)
	}
	put(ctx, t, b, "secret", "x")
	other := strings.Replace(presign(ctx, t, p, "plain", time.Hour), "/plain?", "/secret?", 1)
	if status, _ := fetch(ctx, t, http.MethodGet, other, ""); status != http.StatusForbidden {
		t.Errorf("GET of another object with a URL's signature: status %d, want 403", status)
	}
	if status, _ := fetch(ctx, t, http.MethodGet, presign(ctx, t, p, "no/such/object", time.Hour), ""); status != http.StatusNotFound {
		t.Errorf("GET of a missing object's URL: status %d, want 404", status)
	}
	testPresignerEnds(ctx, t, p)

	for _, key := range []string{"", "../plain", "/plain"} {
		if _, err := p.PresignGet(ctx, key, time.Hour); fault.KindOf(err) != fault.Invalid {
			t.Errorf("PresignGet(%q): error %v, want a fault.Invalid", key, err)
		}
	}
	if _, err := p.PresignGet(ctx, "plain", 0); fault.KindOf(err) != fault.Invalid {
		t.Errorf("PresignGet for no time: error %v, want a fault.Invalid", err)
	}
}

// testPresignerEnds waits until a URL is not valid any more.
func testPresignerEnds(ctx context.Context, t *testing.T, p storage.Presigner) {
	link := presign(ctx, t, p, "plain", time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		status, _ := fetch(ctx, t, http.MethodGet, link, "")
		if status == http.StatusForbidden {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("a URL is valid long after its time, status %d", status)
		}
	}
}

func presign(ctx context.Context, t *testing.T, p storage.Presigner, key string, ttl time.Duration) string {
	t.Helper()
	link, err := p.PresignGet(ctx, key, ttl)
	if err != nil {
		t.Fatalf("PresignGet(%q): %v", key, err)
	}
	return link
}

// fetch makes a request without credentials.
func fetch(ctx context.Context, t *testing.T, method, link, byteRange string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		request.Header.Set("Range", byteRange)
	}
	response, err := (&http.Client{Timeout: timeout}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}
