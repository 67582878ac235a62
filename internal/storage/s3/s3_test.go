package s3

import (
	"fmt"
	"testing"

	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/storagetest"
)

// clearEnv takes away what configures the SDK from outside of the test.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range awsVariables {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

var awsVariables = []string{
	"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
	"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_CA_BUNDLE",
}

// options are those of the specification's example for MinIO.
func options(s *miniotest.Server) Options {
	return Options{
		Bucket: s.Bucket, Root: "/recordings", Region: miniotest.Region, Endpoint: s.Endpoint,
		AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey,
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	n := 0
	folder := options(server)
	folder.Root = "/recordings/of a node/"
	for name, o := range map[string]Options{"folder at MinIO": folder, "bucket with Amazon's defaults": amazonOptions(t, server)} {
		t.Run(name, func(t *testing.T) {
			next := func(t *testing.T) storage.Store {
				n++
				o.Bucket = fmt.Sprintf("contract-%d", n)
				server.NewBucket(o.Bucket)
				return open(t, o)
			}
			storagetest.Run(t, next)
			if o.Endpoint != "" { // else its URLs would lead to Amazon
				t.Run("Presigner", func(t *testing.T) {
					s := next(t).(*Store)
					storagetest.RunPresigner(t, s, s)
				})
			}
		})
	}
}
