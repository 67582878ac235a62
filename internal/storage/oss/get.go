package oss

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strings"
	"time"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// pageSize is the most that OSS lists in one answer.
	pageSize = 1000
	// maxTTL is OSS's limit for a URL with a V4 signature.
	maxTTL = 7 * 24 * time.Hour
)

// Get implements storage.Backend. The reader is the answer's body: it must be
// closed, and ends when ctx does.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := media.CheckPath(key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fault.Errorf(fault.Invalid, "get %q: offset %d is negative", key, offset)
	}
	if length == 0 { // no range can say that
		if _, err := s.Stat(ctx, key); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	request := &alioss.GetObjectRequest{Bucket: &s.bucket, Key: s.objectName(key), Range: byteRange(offset, length)}
	if request.Range != nil {
		// Else OSS answers a range beyond the end with the whole object.
		request.RangeBehavior = alioss.Ptr("standard")
	}
	result, err := s.client.GetObject(ctx, request)
	if err != nil {
		var answer *alioss.ServiceError
		if errors.As(err, &answer) && answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return io.NopCloser(bytes.NewReader(nil)), nil // it ends before offset
		}
		return nil, callError(ctx, "get", key, err)
	}
	if request.Range != nil && result.StatusCode != http.StatusPartialContent {
		_ = result.Body.Close() // nothing of it is wanted
		return nil, fault.Errorf(fault.Unavailable, "get %q: the server ignores ranges", key)
	}
	return &objectReader{Reader: storage.ContextReader(ctx, result.Body), Closer: result.Body, ctx: ctx, key: key}, nil
}

// byteRange is the header of RFC 9110 §14.2; nil for the whole object.
func byteRange(offset, length int64) *string {
	switch {
	case length < 0 && offset == 0:
		return nil
	case length < 0 || length > math.MaxInt64-offset:
		return alioss.Ptr(fmt.Sprintf("bytes=%d-", offset))
	}
	return alioss.Ptr(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
}

// objectReader is a body that ends with ctx, whatever has come in already, and
// whose errors are classified.
type objectReader struct {
	io.Reader
	io.Closer
	ctx context.Context
	key string
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.ErrUnexpectedEOF is an error, and io.EOF comes as it is
		err = callError(r.ctx, "read", r.key, err)
	}
	return n, err
}

// Stat implements storage.Backend.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := media.CheckPath(key); err != nil {
		return storage.Object{}, err
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := s.client.HeadObject(limited, &alioss.HeadObjectRequest{Bucket: &s.bucket, Key: s.objectName(key)})
	if err != nil {
		return storage.Object{}, callError(ctx, "stat", key, err)
	}
	if result.LastModified == nil { // or each record_dir would be in use, and nothing recorded
		return storage.Object{}, fault.Errorf(fault.Unavailable,
			"stat %q: storage does not answer like OSS, there is no Last-Modified: is a proxy or a login page in between?", key)
	}
	return object(key, result.ContentLength, result.LastModified, result.ETag), nil
}

func object(key string, size int64, modified *time.Time, etag *string) storage.Object {
	o := storage.Object{Key: key, Size: size, ETag: strings.Trim(alioss.ToString(etag), `"`)}
	if modified != nil {
		o.Modified = *modified
	}
	return o
}

// Delete implements storage.Backend; OSS answers as if the object had been there.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := media.CheckPath(key); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.DeleteObject(limited, &alioss.DeleteObjectRequest{Bucket: &s.bucket, Key: s.objectName(key)})
	if err != nil {
		return callError(ctx, "delete", key, err)
	}
	return nil
}

// List implements storage.Backend. It asks for a page when the one before has
// been yielded; OSS sorts by the bytes of the name.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		folder := s.prefix
		if prefix != "" {
			if err := media.CheckPath(prefix); err != nil {
				yield(storage.Object{}, err)
				return
			}
			folder += prefix + "/"
		}
		request := &alioss.ListObjectsV2Request{Bucket: &s.bucket, Prefix: &folder, MaxKeys: pageSize}
		for {
			page, err := s.page(ctx, request)
			if err != nil {
				yield(storage.Object{}, callError(ctx, "list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(alioss.ToString(o.Key), s.prefix)
				if media.CheckPath(key) != nil {
					continue // what others keep here, such as the empty objects that consoles make for folders
				}
				if !yield(object(key, o.Size, o.LastModified, o.ETag), nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			request.ContinuationToken = page.NextContinuationToken
		}
	}
}

func (s *Store) page(ctx context.Context, request *alioss.ListObjectsV2Request) (*alioss.ListObjectsV2Result, error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.client.ListObjectsV2(limited, request)
}

// PresignGet implements storage.Presigner, for 1 second to 7 days. A URL that is
// signed with temporary credentials ends with them. Whether the object is there
// is not asked.
func (s *Store) PresignGet(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if err := media.CheckPath(key); err != nil {
		return "", err
	}
	if ttl < time.Second || ttl > maxTTL {
		return "", fault.Errorf(fault.Invalid, "presign %q: %v is not between 1 second and 7 days", key, ttl)
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	// The SDK counts whole seconds, and a second that begins meanwhile is lost.
	ttl = min(ttl+time.Second-1, maxTTL)
	result, err := s.client.Presign(ctx, &alioss.GetObjectRequest{Bucket: &s.bucket, Key: s.objectName(key)}, alioss.PresignExpires(ttl))
	if err != nil {
		return "", callError(ctx, "presign", key, err)
	}
	return result.URL, nil
}
