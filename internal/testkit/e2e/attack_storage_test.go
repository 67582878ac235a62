package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

// hostileStorage is storage that does not do what it says, by a proxy before one
// that does.
type hostileStorage struct {
	server *miniotest.Server
	proxy  *miniotest.Proxy
	faults atomic.Int64
}

// often is the part of requests that each kind of fault happens to.
const often = 0.06

// attack makes the storage hostile until ctx ends. What it does is decided for each
// request anew.
func (h *hostileStorage) attack(ctx context.Context, _ *attack) (int, error) {
	before := h.faults.Load()
	for _, f := range h.kinds() {
		of := f.Match
		f.Match = func(r *http.Request) bool {
			if of != nil && !of(r) || rand.Float64() > often {
				return false
			}
			h.faults.Add(1)
			return true
		}
		h.proxy.Inject(f)
	}
	defer h.proxy.Clear()
	for pauseFor(ctx, 5*time.Second) {
		h.proxy.Release() // what stands still, so that not all requests end there
	}
	return int(h.faults.Load() - before), nil
}

func (h *hostileStorage) kinds() []miniotest.Fault {
	put := miniotest.Is(http.MethodPut)
	say := func(status int, header http.Header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	return []miniotest.Fault{
		// Nothing is stored, and the answer says that it is.
		{Instead: say(http.StatusOK, http.Header{"Content-Type": {"text/html"}}, "<html>please log in")},
		{Match: put, Instead: say(http.StatusOK, nil, "")},
		{Match: put, Instead: say(http.StatusOK, http.Header{"Etag": {`"d41d8cd98f00b204e9800998ecf8427e"`}}, "")},
		{Match: put, Instead: say(http.StatusOK, http.Header{"Etag": {`"not a sum"`}, "X-Amz-Checksum-Sha256": {"AAAA"}, "X-Amz-Checksum-Crc32": {"AAAAAA=="}}, "")},
		{Match: put, Instead: h.truncate},
		{Match: put, CutRequest: 1000},
		{Match: put, CutRequest: 1000, Status: http.StatusInternalServerError, Code: "InternalError"},
		{Status: http.StatusServiceUnavailable, Code: "SlowDown"},
		{Status: http.StatusForbidden, Code: "AccessDenied"},
		{Status: http.StatusNotFound, Code: "NoSuchKey"},
		{Instead: say(http.StatusTeapot, nil, strings.Repeat("<Error>", 10_000))},
		// It is stored, and the answer does not say so.
		{LoseAnswer: true},
		{CutAnswer: 100},
		{Match: put, Alter: func(r *http.Response) {
			for _, name := range []string{"Etag", "X-Amz-Checksum-Sha256", "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc64nvme"} {
				if r.Header.Get(name) != "" {
					r.Header.Set(name, `"0123456789abcdef0123456789abcdef"`)
				}
			}
		}},
		// Neither.
		{Stall: true},
		{Delay: 500 * time.Millisecond, Rate: 20 << 10},
	}
}

// truncate stores half of what comes, and answers as the server does.
func (h *hostileStorage) truncate(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if err != nil || key == "" {
		return
	}
	out, err := h.server.Client().PutObject(r.Context(), &awss3.PutObjectInput{Bucket: &h.server.Bucket, Key: &key, Body: bytes.NewReader(data[:len(data)/2])})
	if err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("ETag", aws.ToString(out.ETag))
}
