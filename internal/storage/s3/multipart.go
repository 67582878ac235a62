package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// abortTimeout bounds taking back the parts of an upload that failed.
const abortTimeout = 10 * time.Second

// putParts sends body in parts, one after the other: who has many objects sends
// those at the same time. Nothing is visible before the last request.
func (s *Store) putParts(ctx context.Context, key string, body io.Reader, size int64, ifNoneMatch condition) error {
	perPart := max(partSize, (size+maxParts-1)/maxParts)
	// A body that breaks early is noticed before the server is asked for anything.
	part := make([]byte, perPart)
	if err := fill(ctx, body, part, false); err != nil {
		return err
	}
	id, err := s.beginUpload(ctx, key)
	if err != nil {
		return classify(err)
	}
	sent, err := s.sendParts(ctx, key, id, part, body, size)
	var out *s3.CompleteMultipartUploadOutput
	if err == nil {
		err = s.conditional(ctx, key, ifNoneMatch, func(ifNoneMatch condition) (err error) {
			out, err = s.completeUpload(ctx, key, id, sent.parts, ifNoneMatch)
			return err
		})
	}
	if err != nil {
		s.abortUpload(ctx, key, id)
		return err
	}
	return sent.prove(ctx, s, key, size, out)
}

func (s *Store) beginUpload(ctx context.Context, key string) (id *string, err error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: s.name(key), ContentType: aws.String(storage.ContentType(key))}
	if s.checksums.Load() {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	err = s.renewing(ctx, func() error {
		out, err := s.client.CreateMultipartUpload(ctx, in)
		if err == nil {
			id = out.UploadId
		}
		return err
	})
	return id, err
}

// sendParts sends data and what follows it in body, for which it uses data again.
func (s *Store) sendParts(ctx context.Context, key string, id *string, data []byte, body io.Reader, size int64) (*pieces, error) {
	sent := newPieces()
	for rest := size; ; {
		sum := sha256.Sum256(data)
		part, err := s.sendPart(ctx, key, id, int32(len(sent.parts)+1), data, sum) //nolint:gosec // at most maxParts
		if err != nil {
			return nil, classify(err)
		}
		sent.add(part, data, sum)
		rest -= int64(len(data))
		if rest == 0 {
			return sent, nil
		}
		data = data[:min(rest, int64(len(data)))]
		if err := fill(ctx, body, data, rest == int64(len(data))); err != nil {
			return nil, err
		}
	}
}

func (s *Store) sendPart(ctx context.Context, key string, id *string, number int32, data []byte, sum [sha256.Size]byte) (types.CompletedPart, error) {
	part := types.CompletedPart{PartNumber: &number}
	in := &s3.UploadPartInput{Bucket: &s.bucket, Key: s.name(key), UploadId: id, PartNumber: &number}
	if s.checksums.Load() {
		in.ChecksumSHA256 = aws.String(encode(sum[:]))
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	err := s.renewing(ctx, func() error {
		in.Body = bytes.NewReader(data)
		out, err := s.client.UploadPart(ctx, in, retried) // repeating a part is harmless
		if err == nil {
			part.ETag = out.ETag
			part.ChecksumCRC32, part.ChecksumSHA256 = out.ChecksumCRC32, out.ChecksumSHA256
		}
		return err
	})
	return part, err
}

func (s *Store) completeUpload(ctx context.Context, key string, id *string, parts []types.CompletedPart, ifNoneMatch condition) (out *s3.CompleteMultipartUploadOutput, err error) {
	err = s.renewing(ctx, func() (err error) {
		out, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: s.name(key), UploadId: id, IfNoneMatch: ifNoneMatch,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		return err
	})
	return out, err
}

// abortUpload takes the parts back, also when ctx has ended: invisible as they
// are, they cost what objects cost.
func (s *Store) abortUpload(ctx context.Context, key string, id *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: s.name(key), UploadId: id})
	if err != nil && errorCode(err) != "NoSuchUpload" {
		s.log.Warn("parts of an upload that failed stay in the bucket; let a lifecycle rule remove incomplete uploads",
			"object", key, "upload_id", *id, "error", err)
	}
}

// wantAbsent returns an error that Is fs.ErrExist when the object exists.
func (s *Store) wantAbsent(ctx context.Context, key string) error {
	_, err := s.stat(ctx, key)
	switch {
	case err == nil:
		return fault.Errorf(fault.Conflict, "an object of that name is there: %w", fs.ErrExist)
	case errors.Is(err, storage.ErrNotFound):
		return nil
	}
	return fmt.Errorf("look for an object of that name: %w", err)
}
