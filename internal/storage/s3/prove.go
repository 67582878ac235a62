package s3

import (
	"context"
	"crypto/md5" // ETag of an object that is neither encrypted by a key service nor in parts
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/storage"
)

// Nothing is taken for stored before storage has shown that it holds the bytes
// (storage.Upload). The first of these does:
//
//   - the SHA-256 sum in the answer, of services that have such (Check finds out);
//   - the ETag in the answer: it is the MD5 sum of the bytes, or of the sums of the
//     parts, unless the object is encrypted by a key service (Amazon S3 API Reference,
//     "Object");
//   - size and ETag in the answer to HEAD;
//   - the bytes themselves, of a service that knows no ETags.

// whole is the proof of what was sent in one request.
type whole struct {
	body        io.ReadSeeker
	start, size int64
}

// sum reads the body and goes back to its beginning.
func (w whole) sum(ctx context.Context, h hash.Hash) ([]byte, error) {
	if _, err := w.body.Seek(w.start, io.SeekStart); err != nil {
		return nil, err
	}
	if _, err := io.Copy(h, storage.ContextReader(ctx, w.body)); err != nil {
		return nil, err
	}
	_, err := w.body.Seek(w.start, io.SeekStart)
	return h.Sum(nil), err
}

// prove makes sure that storage has it. sent is the SHA-256 sum that was sent along,
// nil where none was.
func (w whole) prove(ctx context.Context, s *Store, key string, out *s3.PutObjectOutput, sent *string) error {
	if sent != nil && aws.ToString(out.ChecksumSHA256) == *sent {
		return nil
	}
	sum, err := w.sum(ctx, md5.New()) //nolint:gosec // no secret: it is what S3 has
	if err != nil {
		return err
	}
	if strings.EqualFold(etag(out.ETag), hex.EncodeToString(sum)) {
		return nil
	}
	return s.shown(ctx, key, w.size, func() ([]byte, error) { return w.sum(ctx, sha256.New()) })
}

// pieces are the parts of an upload, as far as they have been sent.
type pieces struct {
	parts         []types.CompletedPart
	md5s, sha256s hash.Hash // of the sums of the parts
	whole         hash.Hash // of all bytes
}

func newPieces() *pieces {
	return &pieces{md5s: md5.New(), sha256s: sha256.New(), whole: sha256.New()} //nolint:gosec // as above
}

// add takes note of a part that was stored.
func (p *pieces) add(part types.CompletedPart, data []byte, sum [sha256.Size]byte) {
	p.parts = append(p.parts, part)
	own := md5.Sum(data) //nolint:gosec // as above
	p.md5s.Write(own[:])
	p.sha256s.Write(sum[:])
	p.whole.Write(data)
}

// prove makes sure that storage has the object that was made of the parts.
func (p *pieces) prove(ctx context.Context, s *Store, key string, size int64, out *s3.CompleteMultipartUploadOutput) error {
	count := fmt.Sprintf("-%d", len(p.parts))
	sum := aws.ToString(out.ChecksumSHA256)
	switch {
	case sum != "" && strings.TrimSuffix(sum, count) == encode(p.sha256s.Sum(nil)):
		return nil
	case strings.EqualFold(etag(out.ETag), hex.EncodeToString(p.md5s.Sum(nil))+count):
		return nil
	}
	return s.shown(ctx, key, size, func() ([]byte, error) { return p.whole.Sum(nil), nil })
}

// shown makes sure of an upload by what storage says of the object afterwards.
func (s *Store) shown(ctx context.Context, key string, size int64, sum func() ([]byte, error)) error {
	return storage.Upload{
		Service: "S3", Size: size, SHA256: sum,
		Stat: func() (storage.Object, error) { return s.stat(ctx, key) },
		Get:  func() (io.ReadCloser, error) { return s.get(ctx, key, 0, -1) },
	}.Prove(ctx)
}

// encode returns a sum as headers have it.
func encode(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }
