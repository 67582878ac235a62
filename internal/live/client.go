package live

import "context"

// Client is what is known of who sends a request, beside what the request itself says.
type Client struct {
	// Owner says whose the credentials are: two requests with the same words are of
	// the same account, subject or token. Empty where nobody is asked.
	Owner string
	// Prefix is the path below which the client sees the server: "/studio" where a proxy
	// has it there, else empty.
	Prefix string
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
