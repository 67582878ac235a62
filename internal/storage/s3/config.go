package s3

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	option = "recorder.storage." // begins the names in messages

	// defaultRegion is what compatible services take where nothing is set.
	defaultRegion = "us-east-1"
	// metadataTimeout bounds asking the EC2 instance for its region: where there
	// is no such instance, nobody answers.
	metadataTimeout = 5 * time.Second

	// raceAttempts and raceBackoff are how often and when a write is tried that
	// met a folder which was being removed.
	raceAttempts = 4
	raceBackoff  = 30 * time.Millisecond
)

func checkOptions(o Options) error {
	if o.Bucket == "" {
		return fault.New(fault.Invalid, option+"bucket is missing: name the bucket in which recordings are kept")
	}
	if len(o.Root) > maxRoot {
		return fault.Errorf(fault.Invalid, option+"root is %d bytes long; %d are allowed", len(o.Root), maxRoot)
	}
	if o.Root != "" && slices.ContainsFunc(strings.Split(o.Root, "/"), func(e string) bool { return e == "" || e == "." || e == ".." }) {
		return fault.Errorf(fault.Invalid, option+`root %q has an empty element, "." or ".."`, o.Root)
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			return fault.New(fault.Invalid, option+"endpoint is no URL: write http://host:port or https://host")
		}
	}
	switch {
	case o.AccessKeyID != "" && o.SecretAccessKey == "":
		return fault.New(fault.Invalid, option+"secret_access_key is missing: access_key_id needs it")
	case o.AccessKeyID == "" && (o.SecretAccessKey != "" || o.SessionToken != ""):
		return fault.New(fault.Invalid, option+"access_key_id is missing: secret_access_key and session_token need it")
	case o.AccessKeyID == "" && o.DisableConfigLoad:
		return fault.New(fault.Invalid, option+"access_key_id is missing: with disable_config_load = true "+
			"credentials are taken from nowhere else; set it and secret_access_key")
	}
	return nil
}

// loadConfig returns the SDK's configuration: what the environment and the files
// say, and over it what o says.
func loadConfig(ctx context.Context, o Options) (aws.Config, error) {
	if o.DisableConfigLoad {
		return literalConfig(o)
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(newHTTPClient(o)),
		config.WithLogger(logging.Nop{}), // errors are returned, and logged by their owner
		config.WithRetryer(retryer),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(staticCredentials(o)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, fault.Errorf(fault.Invalid,
			"load the AWS configuration (mend it, or set "+option+"disable_config_load = true): %w", err)
	}
	switch {
	case cfg.Region != "":
	case o.Endpoint != "" || cfg.BaseEndpoint != nil:
		cfg.Region = defaultRegion
	default:
		cfg.Region, err = askRegion(ctx, load)
	}
	return cfg, err
}

// literalConfig is the configuration without environment and files.
func literalConfig(o Options) (aws.Config, error) {
	region := o.Region
	if region == "" && o.Endpoint != "" {
		region = defaultRegion
	}
	if region == "" {
		return aws.Config{}, errNoRegion
	}
	return aws.Config{
		Region: region, Credentials: staticCredentials(o), HTTPClient: newHTTPClient(o), Logger: logging.Nop{},
	}, nil
}

var errNoRegion = fault.New(fault.Invalid, option+"region is missing, and the environment does not tell: "+
	"set it to the bucket's region, such as us-east-1")

// askRegion returns the region of the EC2 instance that this is.
func askRegion(ctx context.Context, load []func(*config.LoadOptions) error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, append(load, config.WithEC2IMDSRegion())...)
	if err != nil || cfg.Region == "" {
		return "", errNoRegion // asking failed as it does wherever this is no EC2 instance
	}
	return cfg.Region, nil
}

func staticCredentials(o Options) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, o.SessionToken)
}

func newClient(o Options, cfg aws.Config, credentials aws.CredentialsProvider) *s3.Client {
	apply := func(c *s3.Options) {
		c.Credentials = credentials
		c.UsePathStyle = !o.EnableVirtualHostStyle
		c.Retryer = raceRetryer()
		c.DisableLogOutputChecksumValidationSkipped = true
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
		if c.BaseEndpoint != nil {
			// Compatible services need not know the checksums that are sent by
			// default, nor the trailers that carry them.
			c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	}
	if !o.DisableConfigLoad {
		return s3.NewFromConfig(cfg, apply)
	}
	return s3.New(s3.Options{Region: cfg.Region, HTTPClient: cfg.HTTPClient, Logger: cfg.Logger}, apply)
}

func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = readAttempts
		o.MaxBackoff = maxBackoff
		o.RateLimiter = ratelimit.None // calls do not pay for each other's failures
	})
}

// raceRetryer repeats writes that a server refuses without having done anything:
// MinIO answers like this to a write into a folder from which the last object is
// being deleted. What is really denied is denied again.
func raceRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = raceAttempts
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return raceBackoff, nil })
		o.RateLimiter = ratelimit.None
		o.Retryables = []retry.IsErrorRetryable{
			retry.RetryableErrorCode{Codes: map[string]struct{}{"AccessDenied": {}, "NoSuchKey": {}}},
		}
	})
}

// retried is the option of calls that may be repeated at once.
func retried(o *s3.Options) { o.Retryer = retryer() }

// location describes the bucket for messages.
func (s *Store) location() string {
	if s.endpoint == "" {
		return fmt.Sprintf("bucket %q of Amazon S3", s.bucket)
	}
	return fmt.Sprintf("bucket %q at %s", s.bucket, s.endpoint)
}
