package live

import "context"

type ownerKey struct{}

// WithOwner returns a context that says who a request is from: two requests with the
// same words are from the same credentials.
func WithOwner(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// OwnerOf returns what WithOwner said, or "".
func OwnerOf(ctx context.Context) string {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return owner
}
