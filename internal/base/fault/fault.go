// Package fault classifies errors by what a caller can do about them.
//
// Packages mark the errors that callers branch on with a Kind; package api
// maps kinds to HTTP statuses in one table and nothing else does.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what went wrong in terms that do not depend on a protocol.
type Kind uint8

// The kinds. The zero value is Internal: an error that nobody classified is a
// defect or an environment failure of this process.
const (
	Internal            Kind = iota
	Invalid                  // the request or its arguments are wrong; repeating it cannot help
	Unauthenticated          // no credentials, or credentials that are not valid
	Forbidden                // valid credentials without the needed right
	NotFound                 // the thing named does not exist
	Conflict                 // the thing is in a state that excludes the request
	PreconditionFailed       // an If-Match that does not match
	PreconditionMissing      // an If-Match that had to be there
	RangeNotSatisfiable      // a Range that lies behind the object's end
	TooLarge                 // the request body is larger than is accepted
	UnsupportedMedia         // the request's content type is not accepted
	Unprocessable            // well formed, but nothing here can serve it (no usable codec)
	Unsupported              // this build or this configuration does not offer it
	Unavailable              // a resource that is needed is not there now; try again
	StorageFull              // no space is left where recordings are written
	TooMany                  // who asks has asked too often; try again later
)

// Error is an error of a Kind, with a message for the person who caused it.
type Error struct {
	kind   Kind
	err    error
	code   string // see Coded
	params map[string]any
}

// New returns a sentinel error of kind k.
func New(k Kind, message string) *Error { return &Error{kind: k, err: errors.New(message)} }

// Errorf is fmt.Errorf with a kind; %w works as there.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{kind: k, err: fmt.Errorf(format, args...)}
}

// Wrap gives err the kind k and keeps its message. Wrap(k, nil) is not allowed.
func Wrap(k Kind, err error) *Error { return &Error{kind: k, err: err} }

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.err }

// Kind returns the error's kind.
func (e *Error) Kind() Kind { return e.kind }

// KindOf returns the kind of the outermost classified error in err's tree, and
// Internal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.kind
	}
	return Internal
}
