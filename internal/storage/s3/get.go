package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Get implements storage.Backend.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := check(ctx, key); err != nil {
		return nil, fmt.Errorf("get object: %w", err)
	}
	if offset < 0 {
		return nil, fault.Errorf(fault.Invalid, "get object %q: offset is %d", key, offset)
	}
	r, err := s.get(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get object %q: %w", key, err)
	}
	return r, nil
}

func (s *Store) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if length == 0 { // no Range header can say that
		_, err := s.stat(ctx, key)
		return empty(), err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key), Range: byteRange(offset, length)}
	var out *s3.GetObjectOutput
	err := s.renewing(ctx, func() (err error) {
		out, err = s.client.GetObject(ctx, in, retried)
		return err
	})
	switch {
	case statusOf(err) == http.StatusRequestedRangeNotSatisfiable:
		return empty(), nil // it exists, and ends before offset
	case err != nil:
		return nil, classifyRead(err)
	case in.Range != nil && out.ContentRange == nil && aws.ToInt64(out.ContentLength) > 0:
		return nil, errors.Join(errors.New("the server does not know ranges"), out.Body.Close())
	}
	return &body{ctx, out.Body}, nil
}

// byteRange returns the Range header (RFC 9110, section 14.2), nil for all.
func byteRange(offset, length int64) *string {
	switch {
	case length > 0 && length <= math.MaxInt64-offset:
		return aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	return nil
}

func empty() io.ReadCloser { return io.NopCloser(bytes.NewReader(nil)) }

// body is what Get returns. It ends with ctx, whatever has come in already, and
// its errors are classified.
type body struct {
	ctx context.Context
	io.ReadCloser
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("read object: %w", err)
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader's contract is about io.EOF itself
		err = fmt.Errorf("read object: %w", classifyTransport(err))
	}
	return n, err
}

// List implements storage.Backend, a page of a thousand objects at a time.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if err := s.list(ctx, prefix, yield); err != nil {
			yield(storage.Object{}, fmt.Errorf("list objects: %w", err))
		}
	}
}

// list yields objects until yield returns false.
func (s *Store) list(ctx context.Context, prefix string, yield func(storage.Object, error) bool) error {
	if prefix != "" {
		if err := media.CheckPath(prefix); err != nil {
			return err
		}
		prefix += "/"
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	in := &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: s.name(prefix),
		// XML has no words for some of the characters that others' keys may have.
		EncodingType: types.EncodingTypeUrl,
	}
	for {
		out, err := s.page(ctx, in)
		if err != nil {
			return classify(err)
		}
		for _, o := range out.Contents {
			object, ok := s.listed(o, out.EncodingType)
			if ok && !yield(object, nil) {
				return nil
			}
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextContinuationToken) == "" {
			return nil
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func (s *Store) page(ctx context.Context, in *s3.ListObjectsV2Input) (out *s3.ListObjectsV2Output, err error) {
	err = s.renewing(ctx, func() (err error) {
		out, err = s.client.ListObjectsV2(ctx, in, retried)
		return err
	})
	return out, err
}

// listed returns the object of a page's entry; false where its name is no key.
func (s *Store) listed(o types.Object, encoding types.EncodingType) (storage.Object, bool) {
	key := aws.ToString(o.Key)
	if encoding == types.EncodingTypeUrl {
		decoded, err := url.QueryUnescape(key)
		if err != nil {
			return storage.Object{}, false
		}
		key = decoded
	}
	if s.root != "" {
		key = strings.TrimPrefix(key, s.root+"/")
	}
	return storage.Object{
		Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), ETag: etag(o.ETag),
	}, media.CheckPath(key) == nil
}
