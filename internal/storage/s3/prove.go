package s3

import (
	"context"
	"crypto/md5" // ETag of an object that is neither encrypted by a key service nor in parts
	"encoding/hex"
	"io"
	"strings"

	"github.com/live777/recorder/internal/storage"
)

// Nothing is taken for stored before storage has shown that it holds the bytes: a
// captive portal, or a proxy that caches, answers a PUT with 200, too. The ETag of an
// object is the MD5 sum of its bytes, unless it is encrypted by a key service or was
// uploaded in parts (Amazon S3 API Reference, "Object"); then HEAD has to give its size.

// proveWhole makes sure that storage has what was sent in one request: size bytes of
// body from start on. tag is the ETag of the answer.
func (s *Store) proveWhole(ctx context.Context, key string, body io.ReadSeeker, start, size int64, tag *string) error {
	if _, err := body.Seek(start, io.SeekStart); err != nil {
		return err
	}
	sum := md5.New() //nolint:gosec // no secret: it is what S3 has
	if _, err := io.Copy(sum, storage.ContextReader(ctx, body)); err != nil {
		return err
	}
	if strings.EqualFold(etag(tag), hex.EncodeToString(sum.Sum(nil))) {
		return nil
	}
	return s.proveSize(ctx, key, size)
}

// proveSize makes sure that storage has an object of a size.
func (s *Store) proveSize(ctx context.Context, key string, size int64) error {
	o, err := s.stat(ctx, key)
	return storage.Proved("S3", o, err, size)
}
