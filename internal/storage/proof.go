package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/live777/recorder/internal/base/fault"
)

// ErrUnproved is what Upload.Prove's error is where the service does not have the object.
var ErrUnproved = fault.New(fault.Unavailable, "storage answered that it has stored the object, and does not show it")

// Upload is what was sent to a service that has answered with success. Nothing is
// taken for stored by that alone: a captive portal, or a proxy that caches, answers an
// upload with success, too.
type Upload struct {
	Service string // for messages
	Size    int64  // bytes
	// SHA256 returns the sum of what was sent.
	SHA256 func() ([]byte, error)
	// Stat and Get ask the service for the object.
	Stat func() (Object, error)
	Get  func() (io.ReadCloser, error)
}

// Prove returns nil when the service shows that it has the object: with its size and
// an ETag, or, of a service that knows no ETag, with its bytes. The error is
// ErrUnproved, or has that of Stat, Get or SHA256.
func (u Upload) Prove(ctx context.Context) error {
	o, err := u.Stat()
	switch {
	case errors.Is(err, ErrNotFound):
		return u.unproved("it does not have the object")
	case err != nil:
		return fmt.Errorf("look whether the object is stored: %w", err)
	case o.Size != u.Size:
		return u.unproved(fmt.Sprintf("its object has %d bytes instead of %d", o.Size, u.Size))
	case o.ETag == "":
		return u.readBack(ctx)
	}
	return nil
}

// readBack compares what the service has with what was sent.
func (u Upload) readBack(ctx context.Context) error {
	r, err := u.Get()
	if err != nil {
		return fmt.Errorf("read the object back: %w", err)
	}
	defer r.Close()
	there := sha256.New()
	if _, err := io.Copy(there, ContextReader(ctx, r)); err != nil {
		return fmt.Errorf("read the object back: %w", err)
	}
	here, err := u.SHA256()
	if err != nil {
		return fmt.Errorf("read again what was uploaded: %w", err)
	}
	if !bytes.Equal(there.Sum(nil), here) {
		return u.unproved(fmt.Sprintf("there is no ETag, which %s has, and its object has other bytes", u.Service))
	}
	return nil
}

func (u Upload) unproved(why string) error {
	return fmt.Errorf("%w: %s; is a proxy or a login page in between, or does a rule of the bucket delete objects?", ErrUnproved, why)
}
