package s3

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

// TestListPages lists more than the thousand objects of a page.
func TestListPages(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint = proxy.Endpoint
	s := open(t, o)
	var want []string
	keys := make(chan string)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for key := range keys {
				if err := s.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 1001 {
		want = append(want, fmt.Sprintf("dir/%04d", i))
		keys <- want[i]
	}
	close(keys)
	workers.Wait()
	var got []string
	for object, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	pages := 0
	for _, r := range proxy.Requests() {
		if strings.Contains(r, "list-type=2") {
			pages++
		}
	}
	if pages != 2 {
		t.Errorf("%d pages, want 2", pages)
	}
}

// TestListForeign: what others put into the bucket breaks no listing.
func TestListForeign(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	for _, name := range []string{
		"recordings/a/1", "recordings/a/\x01control", "recordings/a/\x7f", "recordings/a/<&>", "recordings/b/", "recordings/.hidden",
		"recordings/c/.hidden/x", "recordings2/x", "recording", "other/recordings/x", "recordings/z",
	} {
		body := "x"
		if strings.HasSuffix(name, "/") {
			body = "" // the marker of a folder
		}
		_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &server.Bucket, Key: &name, Body: strings.NewReader(body)})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	var got []string
	for object, err := range open(t, options(server)).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Key)
	}
	if want := []string{"a/1", "a/<&>", "z"}; !slices.Equal(got, want) {
		t.Errorf("List yields %q, want %q", got, want)
	}
}
