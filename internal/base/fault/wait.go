package fault

import "time"

// WaitError is an error that is over after a time. Its kind and its message are those of
// what it wraps.
type WaitError struct {
	error
	Wait time.Duration
}

// Waitf is Errorf with a time to wait, of which format gets the whole seconds behind args.
func Waitf(k Kind, wait time.Duration, format string, args ...any) *WaitError {
	return &WaitError{Errorf(k, format, append(args, seconds(wait))...), wait}
}

// Seconds returns the time to wait in whole seconds, rounded up, as clients are told.
func (e *WaitError) Seconds() int { return seconds(e.Wait) }

// Unwrap returns the wrapped error.
func (e *WaitError) Unwrap() error { return e.error }

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
