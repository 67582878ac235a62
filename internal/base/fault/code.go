package fault

import "fmt"

// codes are what a program tells an error by where nothing closer is known.
var codes = [...]string{
	Internal:            "internal",
	Invalid:             "invalid",
	Unauthenticated:     "unauthenticated",
	Forbidden:           "forbidden",
	NotFound:            "not_found",
	Conflict:            "conflict",
	PreconditionFailed:  "precondition_failed",
	PreconditionMissing: "precondition_missing",
	RangeNotSatisfiable: "range_not_satisfiable",
	TooLarge:            "too_large",
	UnsupportedMedia:    "unsupported_media",
	Unprocessable:       "unprocessable",
	Unsupported:         "unsupported",
	Unavailable:         "unavailable",
	StorageFull:         "storage_full",
	TooMany:             "too_many",
}

// Code returns the code of errors of kind k that have none of their own.
func (k Kind) Code() string { return codes[k] }

// Coded gives e a code, by which a program tells it from others of its kind and words
// it in another language, and what a text about it has to name: names, each followed by
// its value. Codes are part of the API: what one means does not change. It returns e.
func (e *Error) Coded(code string, params ...any) *Error {
	e.code = code
	for i := 0; i+1 < len(params); i += 2 {
		if e.params == nil {
			e.params = make(map[string]any, len(params)/2)
		}
		e.params[fmt.Sprint(params[i])] = params[i+1]
	}
	return e
}

// Coded is that of Error, with the time to wait as "seconds".
func (e *WaitError) Coded(code string, params ...any) *WaitError {
	if inner, ok := e.error.(*Error); ok { //nolint:errorlint // Waitf has made it
		_ = inner.Coded(code, append(params, "seconds", e.Seconds())...)
	}
	return e
}

// Code returns the outermost code in err's tree, and its parameters. Without one it is
// the code of err's kind.
func Code(err error) (code string, params map[string]any) {
	if e := coded(err); e != nil {
		return e.code, e.params
	}
	return KindOf(err).Code(), nil
}

func coded(err error) *Error {
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at for itself
	case *Error:
		if e.code != "" {
			return e
		}
		return coded(e.err)
	case interface{ Unwrap() error }:
		return coded(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if found := coded(inner); found != nil {
				return found
			}
		}
	}
	return nil
}
