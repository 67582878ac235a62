//go:build !norecorder

package node

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

// bucketNode is a node that records to a bucket, by way of a proxy.
func bucketNode(t *testing.T) (*testNode, *miniotest.Server, *miniotest.Proxy) {
	t.Helper()
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	spool := filepath.Join(t.TempDir(), "spool")
	return startNode(t, func(c *config.Config) {
		c.Recorder.AutoStreams = []string{"*"}
		c.Recorder.Spool.Dir = spool
		c.Recorder.Storage = config.Storage{
			Type: config.StorageS3, Root: "/", Bucket: server.Bucket, Endpoint: proxy.Endpoint, Region: miniotest.Region,
			AccessKeyID: server.AccessKey, SecretAccessKey: config.Secret(server.SecretKey), DisableConfigLoad: true,
		}
	}), server, proxy
}

// short records a stream for two seconds and returns what the catalogue has of it.
func (n *testNode) short(stream string) (row func() media.Recording) {
	n.t.Helper()
	n.publishShort(stream)
	var ended recordAnswer
	if code := n.call(http.MethodDelete, "/api/record/"+stream, "", &ended); code != http.StatusOK {
		n.t.Fatalf("stop: %d", code)
	}
	return func() (rec media.Recording) {
		n.call(http.MethodGet, "/api/recordings/"+ended.RecordDir, "", &rec)
		return rec
	}
}

func isMedia(r *http.Request) bool {
	return r.Method == http.MethodPut && (strings.Contains(r.URL.Path, "_seg_") || strings.Contains(r.URL.Path, "_init"))
}

// A login page that answers everything with 200 is not taken for storage: nothing is
// durable, the node says what is wrong, and when it is gone all is uploaded.
func TestCaptiveProxy(t *testing.T) {
	t.Parallel()
	n, _, proxy := bucketNode(t)
	proxy.Inject(miniotest.Fault{Instead: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"page"`)
		fmt.Fprint(w, "<html>please log in")
	}})
	row := n.short("camera")
	n.until("that it is told", func() bool { return strings.Contains(n.problems()["storage"].Text, "login page") })
	if rec := row(); rec.DurableThrough != 0 {
		t.Errorf("%v s of %v s are durable, and storage has nothing", rec.DurableThrough, rec.Duration)
	}
	proxy.Clear()
	n.until("that all is stored", func() bool { rec := row(); return rec.DurableThrough > 0 && rec.DurableThrough == rec.Duration })
	if rec := row(); rec.Status != media.StatusComplete {
		t.Errorf("%s (%s)", rec.Status, rec.Reason)
	}
	n.until("that nothing is wrong", func() bool { return len(n.problems()) == 0 })
}

// A rule of the bucket that deletes what has just been stored makes a recording fail,
// in words, however well it was uploaded.
func TestDeletingRule(t *testing.T) {
	t.Parallel()
	n, server, proxy := bucketNode(t)
	proxy.Inject(miniotest.Fault{Match: isMedia, Then: func(r *http.Request) {
		key := strings.TrimPrefix(r.URL.Path, "/"+server.Bucket+"/")
		if _, err := server.Client().DeleteObject(context.WithoutCancel(r.Context()), &s3.DeleteObjectInput{Bucket: &server.Bucket, Key: &key}); err != nil {
			t.Error(err)
		}
	}})
	row := n.short("camera")
	n.until("the verdict", func() bool { return row().Status == media.StatusFailed })
	if rec := row(); !strings.Contains(rec.Reason, "rule of the bucket") || rec.DurableThrough != 0 {
		t.Errorf("%s (%s), durable through %v", rec.Status, rec.Reason, rec.DurableThrough)
	}
}
