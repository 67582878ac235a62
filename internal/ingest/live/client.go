package live

import (
	"context"
	"time"
)

// Client is what is known of who sends a request, beside what the request itself says.
type Client struct {
	// Owner says whose the credentials are: two requests with the same words are of
	// the same account, subject or token. Empty where nobody is asked.
	Owner string
	// Lease says how long what was begun with the credentials may go on.
	Lease Lease
	// Prefix is the path below which the client sees the server: "/studio" where a proxy
	// has it there, else empty.
	Prefix string
}

// Lease is how long credentials are good. The zero value is for ever.
type Lease struct {
	Expires time.Time // zero: not by themselves
	// Ended is closed when they are over before that: when somebody has logged out. nil:
	// that cannot be.
	Ended <-chan struct{}
}

// Outlasts reports whether l is good for longer than other, if neither ends early.
func (l Lease) Outlasts(other Lease) bool {
	return !other.Expires.IsZero() && (l.Expires.IsZero() || l.Expires.After(other.Expires))
}

type clientKey struct{}

// WithClient returns a context that says who a request is from.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns what WithClient said.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
