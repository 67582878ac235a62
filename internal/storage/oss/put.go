package oss

import (
	"bytes"
	"context"
	"crypto/md5" // Content-MD5, the check sum that OSS knows
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
	"strings"
	"time"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// multipartFrom is the size above which an object is sent in parts: three
	// requests more, and a failure costs a part instead of the whole.
	multipartFrom = 64 << 20
	// partSize is the size of a part, which is held in memory.
	partSize = 16 << 20
	// maxParts is OSS's limit: https://help.aliyun.com/en/oss/user-guide/multipart-upload.
	maxParts = 10000

	// slowest is the rate in bytes per second below which an upload is given up.
	slowest = 32 << 10
	// abortTimeout bounds the removal of the parts of an upload that failed.
	abortTimeout = 15 * time.Second
)

var forbidOverwrite = alioss.Ptr("true")

// Put implements storage.Backend. A body that can seek is read twice, first for
// its MD5 sum, by which OSS checks what arrives.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.store(ctx, "put", key, body, size, nil)
}

// Add implements storage.Store.
func (s *Store) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.store(ctx, "add", key, body, size, forbidOverwrite)
}

// Traits implements storage.Store.
func (*Store) Traits() storage.Traits { return storage.Traits{} }

// Create implements storage.Store. The object is uploaded when it is closed.
func (s *Store) Create(ctx context.Context, key string) (storage.File, error) {
	return storage.CreateWhole(ctx, s, key)
}

// Repair implements storage.Store.
func (s *Store) Repair(ctx context.Context, key string, size int64) error {
	return storage.RepairWhole(ctx, s, key, size)
}

func (s *Store) store(ctx context.Context, verb, key string, body io.Reader, size int64, forbid *string) error {
	if err := media.CheckPath(key); err != nil {
		return err
	}
	if size < 0 {
		return fault.Errorf(fault.Invalid, "%s %q: size %d is negative", verb, key, size)
	}
	b := &exactReader{ctx: ctx, r: body, left: size, passed: sha256.New()}
	limited, cancel := context.WithTimeout(ctx, callTimeout+time.Duration(size/slowest)*time.Second)
	defer cancel()
	var err error
	if size > s.multipartFrom {
		err = s.putParts(limited, key, b, size, forbid)
	} else {
		err = s.putWhole(limited, key, b, size, forbid)
	}
	// net/http may still be reading when OSS has refused.
	bodyErr := b.stop()
	switch {
	case err == nil:
		return nil
	case bodyErr != nil && ctx.Err() == nil:
		return fmt.Errorf("%s %q: read its content: %w", verb, key, bodyErr)
	}
	return callError(ctx, verb, key, err)
}

// putWhole sends the object in one request.
func (s *Store) putWhole(ctx context.Context, key string, b *exactReader, size int64, forbid *string) error {
	sum, err := b.sum()
	if err != nil {
		return err
	}
	if size == 0 {
		if err := b.drain(); err != nil { // net/http would not see that more follows
			return err
		}
	}
	result, err := s.client.PutObject(ctx, &alioss.PutObjectRequest{
		Bucket: &s.bucket, Key: s.objectName(key), Body: b, ContentLength: &size,
		ContentMD5: sum, ContentType: alioss.Ptr(storage.ContentType(key)), ForbidOverwrite: forbid,
	})
	if err != nil && sum == nil && strings.Contains(err.Error(), "crc is inconsistent") {
		// Without a sum beforehand OSS has stored what arrived. Better nothing.
		return errors.Join(err, s.removeDamaged(ctx, key))
	}
	if err != nil || result.HashCRC64 != nil && *result.HashCRC64 != "" { // which the SDK has compared
		return err
	}
	return s.prove(ctx, key, size, b.whole)
}

// prove makes sure that OSS has an object: what it answers has no check sum. Nothing is
// taken for stored that storage has not shown: a captive portal answers a PUT with 200, too.
// sum returns the SHA-256 sum of what was sent.
func (s *Store) prove(ctx context.Context, key string, size int64, sum func() ([]byte, error)) error {
	return storage.Upload{
		Service: "OSS", Size: size, SHA256: sum,
		Stat: func() (storage.Object, error) { return s.Stat(ctx, key) },
		Get:  func() (io.ReadCloser, error) { return s.Get(ctx, key, 0, -1) },
	}.Prove(ctx)
}

func (s *Store) removeDamaged(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	return s.Delete(ctx, key)
}

// putParts sends the object in parts, and takes them back when that fails.
func (s *Store) putParts(ctx context.Context, key string, b *exactReader, size int64, forbid *string) error {
	name := s.objectName(key)
	begun, err := s.client.InitiateMultipartUpload(ctx, &alioss.InitiateMultipartUploadRequest{
		Bucket: &s.bucket, Key: name, ContentType: alioss.Ptr(storage.ContentType(key)), ForbidOverwrite: forbid,
	})
	if err != nil {
		return err
	}
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	parts, err := s.sendParts(ctx, name, begun.UploadId, io.TeeReader(b, crc), size)
	var done *alioss.CompleteMultipartUploadResult
	if err == nil {
		done, err = s.client.CompleteMultipartUpload(ctx, &alioss.CompleteMultipartUploadRequest{
			Bucket: &s.bucket, Key: name, UploadId: begun.UploadId, ForbidOverwrite: forbid,
			CompleteMultipartUpload: &alioss.CompleteMultipartUpload{Parts: parts},
		})
	}
	switch {
	case err == nil && alioss.ToString(done.HashCRC64) == strconv.FormatUint(crc.Sum64(), 10):
		return nil
	case err == nil:
		return s.prove(ctx, key, size, b.whole)
	}
	abortCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, abortErr := s.client.AbortMultipartUpload(abortCtx, &alioss.AbortMultipartUploadRequest{
		Bucket: &s.bucket, Key: name, UploadId: begun.UploadId,
	})
	if abortErr != nil {
		s.log.Warn("the parts of a failed upload stay in the bucket; a lifecycle rule can remove them",
			"key", key, "error", classify(abortErr))
	}
	return err
}

func (s *Store) sendParts(ctx context.Context, name, id *string, b io.Reader, size int64) ([]alioss.UploadPart, error) {
	length := max(s.partSize, (size+maxParts-1)/maxParts)
	var parts []alioss.UploadPart
	buffer := make([]byte, min(length, size))
	for sent := int64(0); sent < size; {
		part := buffer[:min(length, size-sent)]
		if _, err := io.ReadFull(b, part); err != nil {
			return nil, err
		}
		sum := md5.Sum(part)
		number := int32(len(parts) + 1)
		result, err := s.client.UploadPart(ctx, &alioss.UploadPartRequest{
			Bucket: &s.bucket, Key: name, UploadId: id, PartNumber: number,
			Body:       bytes.NewReader(part),
			ContentMD5: alioss.Ptr(base64.StdEncoding.EncodeToString(sum[:])),
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, alioss.UploadPart{PartNumber: number, ETag: result.ETag})
		sent += int64(len(part))
	}
	return parts, nil
}
