package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/fault"
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
	parts, err := s.sendParts(ctx, key, id, part, body, size)
	if err == nil {
		err = s.conditional(ctx, key, ifNoneMatch, func(ifNoneMatch condition) error {
			return s.completeUpload(ctx, key, id, parts, ifNoneMatch)
		})
	}
	if err != nil {
		s.abortUpload(ctx, key, id)
		return err
	}
	return s.proveSize(ctx, key, size)
}

func (s *Store) beginUpload(ctx context.Context, key string) (id *string, err error) {
	err = s.renewing(ctx, func() error {
		out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &s.bucket, Key: s.name(key), ContentType: aws.String(storage.ContentType(key)),
		})
		if err == nil {
			id = out.UploadId
		}
		return err
	})
	return id, err
}

// sendParts sends data and what follows it in body, for which it uses data again.
func (s *Store) sendParts(ctx context.Context, key string, id *string, data []byte, body io.Reader, size int64) ([]types.CompletedPart, error) {
	var parts []types.CompletedPart
	for rest := size; ; {
		part, err := s.sendPart(ctx, key, id, int32(len(parts)+1), data) //nolint:gosec // at most maxParts
		if err != nil {
			return nil, classify(err)
		}
		parts = append(parts, part)
		rest -= int64(len(data))
		if rest == 0 {
			return parts, nil
		}
		data = data[:min(rest, int64(len(data)))]
		if err := fill(ctx, body, data, rest == int64(len(data))); err != nil {
			return nil, err
		}
	}
}

func (s *Store) sendPart(ctx context.Context, key string, id *string, number int32, data []byte) (types.CompletedPart, error) {
	part := types.CompletedPart{PartNumber: &number}
	err := s.renewing(ctx, func() error {
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.bucket, Key: s.name(key), UploadId: id, PartNumber: &number, Body: bytes.NewReader(data),
		}, retried) // repeating a part is harmless
		if err == nil {
			part.ETag = out.ETag
			part.ChecksumCRC32 = out.ChecksumCRC32
		}
		return err
	})
	return part, err
}

func (s *Store) completeUpload(ctx context.Context, key string, id *string, parts []types.CompletedPart, ifNoneMatch condition) error {
	return s.renewing(ctx, func() error {
		_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: s.name(key), UploadId: id, IfNoneMatch: ifNoneMatch,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		return err
	})
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
