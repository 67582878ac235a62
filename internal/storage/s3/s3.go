// Package s3 keeps objects in a bucket of Amazon S3 or of a service that is
// compatible with it, such as MinIO.
package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// maxRoot keeps root, a slash and the longest key below S3's 1,024 bytes.
	maxRoot = 1024 - 1 - media.MaxPathLen

	// maxPresign is the longest validity of a signature that is part of a URL
	// (Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters").
	maxPresign = 7 * 24 * time.Hour

	// readAttempts is how often a call that only reads, or deletes, is tried.
	// Everything else is tried once: whoever writes decides when to try again.
	readAttempts = 3
	maxBackoff   = 500 * time.Millisecond
)

// Options are the settings of a Store, named as in [recorder.storage] of the
// configuration. Only Bucket is required.
type Options struct {
	Bucket string
	// Root is the path in the bucket below which everything is kept; slashes at
	// its ends do not count.
	Root string
	// Region is taken from the environment, the profile or the EC2 instance where
	// it is empty. With an Endpoint of its own it is us-east-1 where none of them knows.
	Region string
	// Endpoint is the URL of a compatible service; empty means Amazon's, or what
	// AWS_ENDPOINT_URL says.
	Endpoint string

	// AccessKeyID and SecretAccessKey are static credentials, of temporary ones
	// with SessionToken. Without them the default chain is used: environment,
	// profile, web identity, ECS, EC2 instance role.
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string

	// DisableConfigLoad takes nothing from the environment, from files or from
	// instance metadata; static credentials are needed then.
	DisableConfigLoad bool
	// EnableVirtualHostStyle names the bucket in the host, not in the path.
	EnableVirtualHostStyle bool

	// Logger gets what is worth knowing and no call's error; nil means slog.Default().
	Logger *slog.Logger

	dial  dialFunc      // tests resolve names of their own; nil means the system's
	stall time.Duration // tests wait for less; 0 means stallTimeout
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Store is a folder of a bucket as a storage.Store and a storage.Presigner. Objects whose keys media.CheckPath refuses, such as the
// markers that stand for folders, are never listed. A call lasts until its ctx
// ends, or until nothing has been sent or received for half a minute. Safe for
// concurrent use.
type Store struct {
	storage.Direct

	bucket      string
	root        string // without slashes at its ends; "" for the whole bucket
	endpoint    string // for messages; "" for Amazon's
	static      bool   // the credentials are those of Options
	client      *s3.Client
	credentials *renewingCredentials
	log         *slog.Logger

	// unconditional is set when the server has no conditional writes.
	unconditional atomic.Bool
	// checksums is set when the server has shown that it keeps SHA-256 sums.
	checksums atomic.Bool
}

var (
	_ storage.Store     = (*Store)(nil)
	_ storage.Presigner = (*Store)(nil)
)

// New returns a Store. Settings that cannot be right are a fault.Invalid error
// that names the option. The server is not asked anything: see Check. ctx bounds
// the search for the region, where it has to be asked of the EC2 instance.
func New(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Root = strings.Trim(o.Root, "/")
	if err := checkOptions(o); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	o.Region = cfg.Region
	credentials := newRenewingCredentials(o, cfg.Credentials)
	client := newClient(o, cfg, credentials)
	return &Store{
		bucket: o.Bucket, root: o.Root, endpoint: aws.ToString(client.Options().BaseEndpoint),
		static: o.AccessKeyID != "", client: client, credentials: credentials, log: o.Logger,
	}, nil
}

// Stat implements storage.Backend.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := check(ctx, key); err != nil {
		return storage.Object{}, fmt.Errorf("stat object: %w", err)
	}
	o, err := s.stat(ctx, key)
	if err != nil {
		return storage.Object{}, fmt.Errorf("stat object %q: %w", key, err)
	}
	return o, nil
}

func (s *Store) stat(ctx context.Context, key string) (storage.Object, error) {
	var out *s3.HeadObjectOutput
	err := s.renewing(ctx, func() (err error) {
		out, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)}, retried)
		return err
	})
	if err != nil {
		return storage.Object{}, classifyRead(err)
	}
	if out.LastModified == nil { // or each record_dir would be in use, and nothing recorded
		return storage.Object{}, fault.New(fault.Unavailable,
			"storage does not answer like S3, there is no Last-Modified: is a proxy or a login page in between?")
	}
	return storage.Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: etag(out.ETag),
	}, nil
}

// Delete implements storage.Backend.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	err := s.renewing(ctx, func() error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.name(key)}, retried)
		return err
	})
	if err = classifyRead(err); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	return nil
}

// PresignGet implements storage.Presigner. A ttl of more than seven days is a
// fault.Invalid error. The URL ends earlier when temporary credentials do.
func (s *Store) PresignGet(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if err := check(ctx, key); err != nil {
		return "", fmt.Errorf("presign object: %w", err)
	}
	if ttl < time.Second || ttl > maxPresign {
		return "", fault.Errorf(fault.Invalid, "presign object %q: a URL cannot be valid for %v; one second to seven days are possible", key, ttl)
	}
	request, err := s3.NewPresignClient(s.client).PresignGetObject(ctx,
		&s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key)}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", fmt.Errorf("presign object %q: %w", key, classify(err))
	}
	return request.URL, nil
}

// name returns the object's name in the bucket.
func (s *Store) name(key string) *string {
	if s.root != "" {
		key = s.root + "/" + key
	}
	return &key
}

// check applies what holds before every call: a key that is none, or a context
// that has ended, reaches no server.
func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return media.CheckPath(key)
}

// etag returns the opaque part of an entity tag.
func etag(tag *string) string {
	return strings.Trim(strings.TrimPrefix(aws.ToString(tag), "W/"), `"`)
}
