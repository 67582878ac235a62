package storage

import (
	"errors"
	"fmt"

	"github.com/live777/recorder/internal/fault"
)

// Proved says whether an upload of size bytes that a service has answered with success
// is stored, by what the service then says of the object: o and err are the results of
// Stat. A captive portal, or a proxy that caches, answers an upload with success, too.
// The error is fault.Unavailable, or has err.
func Proved(service string, o Object, err error, size int64) error {
	var why string
	switch {
	case errors.Is(err, ErrNotFound):
		why = "it does not have the object"
	case err != nil:
		return fmt.Errorf("look whether the object is stored: %w", err)
	case o.Size != size:
		why = fmt.Sprintf("its object has %d bytes instead of %d", o.Size, size)
	case o.ETag == "":
		why = fmt.Sprintf("it does not answer like %s: there is no ETag", service)
	default:
		return nil
	}
	return fault.Errorf(fault.Unavailable, "storage answered that it has stored the object, but %s: is a proxy or a login page in between?", why)
}
