package s3

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// renewEvery is how often at most credentials are looked for anew: while no
// others have come, every upload that waits would ask for them.
const renewEvery = 10 * time.Second

// credentialsError says that there are no credentials to sign a request with.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "no usable credentials: " + e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }

// renewingCredentials is the chain of credential providers, which is built anew
// when the server refuses what it has: the SDK reads profile files but once.
// Safe for concurrent use.
type renewingCredentials struct {
	options Options // to load them again
	every   time.Duration

	mu       sync.Mutex
	provider aws.CredentialsProvider
	built    int // how often
	last     time.Time
}

func newRenewingCredentials(o Options, first aws.CredentialsProvider) *renewingCredentials {
	return &renewingCredentials{options: o, every: renewEvery, provider: first, built: 1}
}

// Retrieve implements aws.CredentialsProvider; its error is a credentialsError.
func (c *renewingCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	provider, _ := c.current()
	if provider == nil {
		return aws.Credentials{}, &credentialsError{errors.New("none are configured")}
	}
	v, err := provider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		return v, &credentialsError{err}
	}
	return v, err
}

func (c *renewingCredentials) current() (provider aws.CredentialsProvider, built int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.provider, c.built
}

// renew builds the chain anew after the one that was built as number refused has
// yielded credentials that the server refused. It reports whether there are
// others to try; static ones are all there is.
func (c *renewingCredentials) renew(ctx context.Context, refused int) bool {
	if c.options.AccessKeyID != "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.built != refused {
		return true // another call has been here
	}
	if !c.last.IsZero() && time.Since(c.last) < c.every {
		return false
	}
	c.last = time.Now()
	cfg, err := loadConfig(ctx, c.options)
	if err != nil || cfg.Credentials == nil {
		return false // files that are being written; the next refusal tries again
	}
	c.provider = cfg.Credentials
	c.built++
	return true
}

// renewing calls f, and once more with credentials that are looked for anew when
// the server says that they are not valid, or not any more.
func (s *Store) renewing(ctx context.Context, f func() error) error {
	_, built := s.credentials.current()
	err := f()
	if slices.Contains(invalidCredentialCodes, errorCode(err)) && s.credentials.renew(ctx, built) {
		err = f()
	}
	return err
}

// invalidCredentialCodes are what servers answer to credentials that are wrong or
// have expired (Amazon S3 API Reference, "Error responses").
var invalidCredentialCodes = []string{
	"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId",
	"InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch",
}
