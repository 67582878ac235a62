// Package oss keeps objects in a bucket of Aliyun OSS, with Aliyun's own SDK and
// V4 signatures. It never repeats a request: whoever calls it decides whether,
// when and how often that pays.
package oss

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	alioss "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Options are the settings of a Store, by the names of recorder.storage.*.
type Options struct {
	// Bucket is the bucket's name, which must exist.
	Bucket string
	// Root is the path in the bucket below which everything is kept; "" and "/"
	// are the whole bucket.
	Root string
	// Region is where the bucket is, "cn-hangzhou" or "oss-cn-hangzhou".
	Region string
	// Endpoint is the URL of OSS, such as https://oss-cn-hangzhou.aliyuncs.com. The
	// bucket may stand before it, as in https://bucket.oss-cn-hangzhou.aliyuncs.com.
	Endpoint string
	// AccessKeyID and AccessKeySecret are the access key. Where both are empty,
	// the environment is asked at every request, and then the metadata service of
	// ECS; see credentialsProvider.
	AccessKeyID, AccessKeySecret string
	// SecurityToken is that of temporary credentials (STS).
	SecurityToken string

	// Logger gets what is worth knowing and no call's error; nil means slog.Default().
	Logger *slog.Logger
	// HTTPClient sends the requests; nil means one that uses the proxies of the
	// environment and gives up when nothing moves for stallTimeout.
	HTTPClient *http.Client
	// Getenv reads the environment; nil means os.Getenv.
	Getenv func(string) string
}

// Store is a bucket as a storage.Store and a storage.Presigner.
// Objects whose names are no keys (media.CheckPath) are never listed. Safe for
// concurrent use.
//
// Add relies on x-oss-forbid-overwrite, which OSS ignores in a bucket with
// versioning: there it replaces, and the old version stays as a version.
type Store struct {
	storage.Direct

	client  *alioss.Client
	bucket  string
	prefix  string // "" or ends in a slash
	options Options
	log     *slog.Logger

	multipartFrom, partSize int64 // as the constants; tests make them small
}

var (
	_ storage.Store     = (*Store)(nil)
	_ storage.Presigner = (*Store)(nil)
)

const (
	// maxRootLen leaves room for the longest key in an object name of OSS, 1023 bytes:
	// https://help.aliyun.com/en/oss/user-guide/object-naming-conventions.
	maxRootLen = 200

	// callTimeout bounds a request without a body worth mentioning.
	callTimeout = time.Minute
)

// bucketName is what https://help.aliyun.com/en/oss/user-guide/bucket-naming-conventions allows.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// New checks the options, as far as that is possible without asking OSS, which
// Check does. Errors are fault.Invalid and name the option.
func New(_ context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.HTTPClient == nil {
		o.HTTPClient = newHTTPClient()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if !bucketName.MatchString(o.Bucket) {
		return nil, fault.Errorf(fault.Invalid, "recorder.storage.bucket: %q is no name of an OSS bucket: 3 to 63 of a-z, 0-9 and -", o.Bucket)
	}
	region := strings.TrimPrefix(o.Region, "oss-")
	if !regionName.MatchString(region) {
		return nil, fault.Errorf(fault.Invalid, "recorder.storage.region: %q is no region; use one such as oss-cn-hangzhou", o.Region)
	}
	prefix, err := rootPrefix(o.Root)
	if err != nil {
		return nil, err
	}
	endpoint, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	provider, err := credentialsProvider(o)
	if err != nil {
		return nil, err
	}
	config := alioss.NewConfig().
		WithRegion(region).
		WithEndpoint(endpoint.Scheme + "://" + endpoint.Host).
		WithCredentialsProvider(provider).
		WithSignatureVersion(alioss.SignatureVersionV4).
		WithRetryMaxAttempts(1).
		WithUserAgent("live777-recorder")
	config.HttpClient = knownLengths{o.HTTPClient}
	switch name := endpoint.Hostname(); {
	case net.ParseIP(name) != nil || name == "localhost":
		config.WithUsePathStyle(true) // no name to put the bucket before
	case strings.HasPrefix(name, o.Bucket+"."):
		config.WithUseCName(true) // the bucket is there already
	}
	return &Store{
		client: alioss.NewClient(config), bucket: o.Bucket, prefix: prefix, options: o, log: o.Logger,
		multipartFrom: multipartFrom, partSize: partSize,
	}, nil
}

func rootPrefix(root string) (string, error) {
	root = strings.Trim(root, "/")
	if root == "" {
		return "", nil
	}
	if err := media.CheckPath(root); err != nil {
		return "", fault.Errorf(fault.Invalid, "recorder.storage.root: %w", err)
	}
	if len(root) > maxRootLen {
		return "", fault.Errorf(fault.Invalid, "recorder.storage.root is %d bytes long, %d are allowed", len(root), maxRootLen)
	}
	return root + "/", nil
}

func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		// The text is not repeated: it may have a password in it.
		return nil, fault.New(fault.Invalid, "recorder.storage.endpoint is no URL of a server; use one such as https://oss-cn-hangzhou.aliyuncs.com")
	}
	return u, nil
}

// objectName is the name of a key's object, in the form of the SDK.
func (s *Store) objectName(key string) *string { return alioss.Ptr(s.prefix + key) }
