package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

const (
	// maxSingle is the size up to which an object that can be read again is one
	// request. A larger one costs too much to begin anew when the connection breaks.
	maxSingle = 64 << 20
	// partSize is what is kept in memory of a larger object, or of one that can
	// be read but once.
	partSize = 16 << 20
	maxParts = 10_000 // Amazon S3 User Guide, "Multipart upload limits"

	// refusedTimeout bounds asking whether a write was refused whose answer was lost.
	refusedTimeout = 5 * time.Second
)

// condition is the If-None-Match header of a write.
type condition = *string

// Put implements storage.Backend. A body that is an io.Seeker is sent from where
// it is, without being kept in memory; of others, and of objects above 64 MiB,
// 16 MiB at a time are (more only for objects above 156 GiB).
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, "put", key, body, size, nil)
}

// Add implements storage.Store. An object that exists can be the one that this
// very call, or one before it, has stored, where the answer was lost. A server without
// conditional writes is asked for the object before it is written.
func (s *Store) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, "add", key, body, size, aws.String("*"))
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

func (s *Store) write(ctx context.Context, verb, key string, body io.Reader, size int64, ifNoneMatch condition) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("%s object: %w", verb, err)
	}
	if size < 0 {
		return fault.Errorf(fault.Invalid, "%s object %q: size is %d", verb, key, size)
	}
	if err := s.store(ctx, key, body, size, ifNoneMatch); err != nil {
		return fmt.Errorf("%s object %q: %w", verb, key, err)
	}
	return nil
}

// store sends body, whole or in parts.
func (s *Store) store(ctx context.Context, key string, body io.Reader, size int64, ifNoneMatch condition) error {
	seeker, ok := body.(io.ReadSeeker)
	if ok {
		if err := checkLength(seeker, size); err != nil {
			return err
		}
	}
	switch {
	case ok && size <= maxSingle:
		return s.putObject(ctx, key, seeker, size, ifNoneMatch)
	case size <= partSize:
		data := make([]byte, size)
		if err := fill(ctx, body, data, true); err != nil {
			return err
		}
		return s.putObject(ctx, key, bytes.NewReader(data), size, ifNoneMatch)
	}
	return s.putParts(ctx, key, body, size, ifNoneMatch)
}

// checkLength compares what is left of body with size.
func checkLength(body io.Seeker, size int64) error {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	end, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := body.Seek(start, io.SeekStart); err != nil {
		return err
	}
	if end-start != size {
		return wrongLength(end-start, size)
	}
	return nil
}

// fill reads body until data is full, and makes sure that nothing comes after
// what is last.
func fill(ctx context.Context, body io.Reader, data []byte, last bool) error {
	r := storage.ContextReader(ctx, body)
	n, err := io.ReadFull(r, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wrongLength(int64(n), int64(len(data)))
	}
	if err != nil || !last {
		return err
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return wrongLength(int64(len(data)+n), int64(len(data)))
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func wrongLength(n, size int64) error {
	if n > size {
		return fmt.Errorf("the body is longer than the %d bytes that were announced", size)
	}
	return fmt.Errorf("the body ends %d bytes before its announced end: %w", size-n, io.ErrUnexpectedEOF)
}

// putObject sends body in one request.
func (s *Store) putObject(ctx context.Context, key string, body io.ReadSeeker, size int64, ifNoneMatch condition) error {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	w := whole{body, start, size}
	var sum *string
	if s.checksums.Load() {
		bytes, err := w.sum(ctx, sha256.New())
		if err != nil {
			return err
		}
		sum = aws.String(encode(bytes))
	}
	var out *s3.PutObjectOutput
	err = s.conditional(ctx, key, ifNoneMatch, func(ifNoneMatch condition) error {
		return s.renewing(ctx, func() error {
			if _, err := body.Seek(start, io.SeekStart); err != nil {
				return err
			}
			out, err = s.client.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &s.bucket, Key: s.name(key), ContentLength: &size, IfNoneMatch: ifNoneMatch, ChecksumSHA256: sum,
				ContentType: aws.String(storage.ContentType(key)), // for those who fetch it by URL
				Body:        struct{ io.ReadSeeker }{body},        // its Close is the caller's
			})
			return err
		})
	})
	if err != nil {
		return err
	}
	return w.prove(ctx, s, key, out, sum)
}

// conditional calls write with the condition. Where the server does not know
// conditions, Stat has to do: then two writers at the same moment can both win.
func (s *Store) conditional(ctx context.Context, key string, ifNoneMatch condition, write func(condition) error) error {
	if ifNoneMatch == nil {
		return classify(write(nil))
	}
	if !s.unconditional.Load() {
		err := write(ifNoneMatch)
		switch {
		case hungUp(err):
			return s.refusedOrBroken(ctx, key, classify(err))
		case errorCode(err) != "NotImplemented":
			return classify(err)
		}
		s.setUnconditional()
	}
	if err := s.wantAbsent(ctx, key); err != nil {
		return err
	}
	return classify(write(nil))
}

// refusedOrBroken says what it means that the server closed the connection while
// the body was sent. MinIO does so when it refuses a large one, and the answer is
// often lost with the rest of the connection.
func (s *Store) refusedOrBroken(ctx context.Context, key string, err error) error {
	ctx, cancel := context.WithTimeout(ctx, refusedTimeout)
	defer cancel()
	if exists := s.wantAbsent(ctx, key); errors.Is(exists, fs.ErrExist) {
		return exists
	}
	return err
}

// hungUp reports whether the other side closed the connection before it answered.
func hungUp(err error) bool {
	return errorCode(err) == "" && statusOf(err) == 0 &&
		(errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed))
}

func (s *Store) setUnconditional() {
	if !s.unconditional.Swap(true) {
		s.log.Warn("storage does not know conditional writes (If-None-Match): give each node a root of its own",
			"bucket", s.bucket)
	}
}
