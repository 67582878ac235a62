package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

const expiration = "2099-01-01T00:00:00Z"

// chained are options that leave credentials to the default chain.
func chained(s *miniotest.Server) Options {
	o := options(s)
	o.AccessKeyID, o.SecretAccessKey = "", ""
	return o
}

// wantUsable fails the test when nothing can be stored and read.
func wantUsable(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "key", strings.NewReader("content"), 7); err != nil {
		t.Error(err)
	}
	if o, err := s.Stat(t.Context(), "key"); err != nil || o.Size != 7 {
		t.Errorf("Stat = %+v, %v", o, err)
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func profile(name string, c miniotest.Credentials) string {
	return fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n",
		name, c.AccessKey, c.SecretKey, c.SessionToken)
}

func TestCredentialChain(t *testing.T) {
	server := miniotest.Start(t)
	c := server.AssumeRole("")
	for name, configure := range map[string]func(*testing.T, *Options){
		"environment": func(t *testing.T, _ *Options) {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretKey)
			t.Setenv("AWS_SESSION_TOKEN", c.SessionToken)
		},
		"profile": func(t *testing.T, _ *Options) {
			t.Helper()
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "credentials", profile("recorder", c)))
			t.Setenv("AWS_PROFILE", "recorder")
		},
		"web identity": func(t *testing.T, _ *Options) { t.Helper(); webIdentity(t, c) },
		"ECS": func(t *testing.T, _ *Options) {
			t.Helper()
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", serveText(t, map[string]string{"GET /role": roleJSON(c)})+"/role")
		},
		"EC2 instance role": func(t *testing.T, _ *Options) { t.Helper(); instance(t, c) },
		"session token in the options": func(_ *testing.T, o *Options) {
			o.AccessKeyID, o.SecretAccessKey, o.SessionToken = c.AccessKey, c.SecretKey, c.SessionToken
		},
		"options before environment": func(t *testing.T, o *Options) {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "nothing")
			o.AccessKeyID, o.SecretAccessKey = server.AccessKey, server.SecretKey
		},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			o := chained(server)
			configure(t, &o)
			wantUsable(t, open(t, o))
		})
	}
}

// serveText answers requests, as "GET /path", with texts.
func serveText(t *testing.T, answers map[string]string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// roleJSON is how ECS and EC2 tell credentials (Amazon EC2 User Guide, "Retrieve
// security credentials from instance metadata").
func roleJSON(c miniotest.Credentials) string {
	return fmt.Sprintf(`{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		c.AccessKey, c.SecretKey, c.SessionToken, expiration)
}

// instance makes this machine an EC2 instance in eu-central-1.
func instance(t *testing.T, c miniotest.Credentials) {
	t.Helper()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", serveText(t, map[string]string{
		"PUT /latest/api/token":                                    "token",
		"GET /latest/meta-data/iam/security-credentials/":          "recorder",
		"GET /latest/meta-data/iam/security-credentials/recorder":  roleJSON(c),
		"GET /latest/dynamic/instance-identity/document":           `{"region":"eu-central-1"}`,
		"GET /latest/meta-data/iam/security-credentials-extended/": "",
	}))
}

// webIdentity has STS exchange a token for credentials, as in Kubernetes.
func webIdentity(t *testing.T, c miniotest.Credentials) {
	t.Helper()
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "token", "the token"))
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/recorder")
	t.Setenv("AWS_ENDPOINT_URL_STS", serveText(t, map[string]string{"POST /": fmt.Sprintf(
		`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
		<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken>
		<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
		c.AccessKey, c.SecretKey, c.SessionToken, expiration)}))
}

// TestDisableConfigLoad poisons everything that could be loaded.
func TestDisableConfigLoad(t *testing.T) {
	server := miniotest.Start(t)
	c := server.AssumeRole("")
	clearEnv(t)
	var asked atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer trap.Close()
	bad := writeFile(t, "config", "[default]\nregion = eu-west-1\n[profile recorder\n")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": c.AccessKey, "AWS_SECRET_ACCESS_KEY": c.SecretKey, "AWS_SESSION_TOKEN": c.SessionToken,
		"AWS_REGION": "eu-west-1", "AWS_PROFILE": "none", "AWS_CONFIG_FILE": bad, "AWS_SHARED_CREDENTIALS_FILE": bad,
		"AWS_ENDPOINT_URL": trap.URL, "AWS_ENDPOINT_URL_S3": trap.URL, "AWS_CONTAINER_CREDENTIALS_FULL_URI": trap.URL,
		"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": trap.URL,
	} {
		t.Setenv(name, value)
	}
	o := options(server)
	o.DisableConfigLoad, o.Region = true, ""
	wantUsable(t, open(t, o))

	o.AccessKeyID, o.SecretAccessKey = "", ""
	if _, err := New(t.Context(), o); fault.KindOf(err) != fault.Invalid {
		t.Errorf("without static credentials: error %v, want a fault.Invalid", err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests went where the environment says", n)
	}
	// The environment is as poisonous as it looks.
	o.DisableConfigLoad = false
	if _, err := New(t.Context(), o); fault.KindOf(err) != fault.Invalid {
		t.Errorf("with the environment: error %v, want a fault.Invalid", err)
	}
}

func TestRegion(t *testing.T) {
	for name, test := range map[string]struct {
		configure func(*testing.T, *Options)
		want      string
	}{
		"set": {func(t *testing.T, o *Options) {
			t.Helper()
			t.Setenv("AWS_REGION", "eu-west-1")
			o.Region = "ap-south-1"
		}, "ap-south-1"},
		"environment": {func(t *testing.T, _ *Options) { t.Helper(); t.Setenv("AWS_REGION", "eu-west-1") }, "eu-west-1"},
		"environment before endpoint": {func(t *testing.T, o *Options) {
			t.Helper()
			t.Setenv("AWS_REGION", "eu-west-1")
			o.Endpoint = "http://localhost:9000"
		}, "eu-west-1"},
		"profile": {func(t *testing.T, _ *Options) {
			t.Helper()
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "config", "[default]\nregion = eu-west-2\n"))
		}, "eu-west-2"},
		"endpoint":                {func(_ *testing.T, o *Options) { o.Endpoint = "http://localhost:9000" }, "us-east-1"},
		"endpoint of environment": {func(t *testing.T, _ *Options) { t.Helper(); t.Setenv("AWS_ENDPOINT_URL", "http://localhost:9000") }, "us-east-1"},
		"EC2 instance":            {func(t *testing.T, _ *Options) { t.Helper(); instance(t, miniotest.Credentials{}) }, "eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnv(t)
			o := Options{Bucket: "b", AccessKeyID: "k", SecretAccessKey: "s"}
			test.configure(t, &o)
			if got := open(t, o).client.Options().Region; got != test.want {
				t.Errorf("region is %q, want %q", got, test.want)
			}
		})
	}
}

// TestCredentialsRenewed replaces the profile file of a running process, as the
// tools do that fetch temporary credentials.
func TestCredentialsRenewed(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	file := writeFile(t, "credentials", profile("default", miniotest.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey}))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	s := open(t, chained(server))
	s.credentials.every = 0
	static := open(t, options(server))
	wantUsable(t, s)

	server.RestartAs("second-user", "second-secret")
	_, err := s.Stat(t.Context(), "key")
	if !errors.Is(err, storage.ErrDenied) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while the file has the old key: error %v, want storage.ErrDenied", err)
	}
	if err := os.WriteFile(file, []byte(profile("default", miniotest.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey})), 0o600); err != nil {
		t.Fatal(err)
	}
	wantUsable(t, s)
	if err := static.Put(t.Context(), "key", strings.NewReader("x"), 1); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("with static credentials, which are not valid any more: error %v", err)
	}
}

// TestExpiredToken: a call whose credentials expired under way succeeds, with its
// whole body.
func TestExpiredToken(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	instance(t, server.AssumeRole(""))
	o := chained(server)
	o.Endpoint = proxy.Endpoint
	s := open(t, o)
	for name, body := range map[string]readerOnly{"stream": {strings.NewReader("content")}} {
		proxy.Inject(miniotest.Fault{Status: http.StatusBadRequest, Code: "ExpiredToken", CutRequest: 7, Times: 1})
		if err := s.Put(t.Context(), name, body, 7); err != nil {
			t.Error(err)
		}
		s.credentials.every = 0
	}
	proxy.Inject(miniotest.Fault{Status: http.StatusForbidden, Code: "InvalidAccessKeyId", CutRequest: 7, Times: 1})
	if err := s.Add(t.Context(), "seeker", strings.NewReader("content"), 7); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"stream", "seeker"} {
		if o, err := s.Stat(t.Context(), key); err != nil || o.Size != 7 {
			t.Errorf("%s is %+v, %v", key, o, err)
		}
	}
}

// TestRenewalIsRare: calls that are refused do not all load credentials.
func TestRenewalIsRare(t *testing.T) {
	clearEnv(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	s := open(t, Options{Bucket: "b", Region: "r"})
	refused := &apiError{code: "ExpiredToken"}
	var calls atomic.Int32
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 5 {
				_ = s.renewing(t.Context(), func() error { calls.Add(1); return refused })
			}
		})
	}
	workers.Wait()
	if _, built := s.credentials.current(); built != 2 {
		t.Errorf("credentials were loaded %d times, want at the start and once more", built)
	}
	if n := calls.Load(); n <= 40 || n > 48 {
		t.Errorf("%d tries for 40 calls; want that those that were under way try again, and no others", n)
	}
}

// TestVirtualHostStyle: the bucket is part of the host's name, which a resolver
// of the test's own leads to the server.
func TestVirtualHostStyle(t *testing.T) {
	clearEnv(t)
	server := miniotest.StartWith(t, miniotest.Options{Env: []string{"MINIO_DOMAIN=s3.example.com"}})
	port := server.Endpoint[strings.LastIndex(server.Endpoint, ":"):]
	for virtual, want := range map[bool]string{true: server.Bucket + ".s3.example.com" + port, false: "s3.example.com" + port} {
		t.Run(want, func(t *testing.T) {
			var mu sync.Mutex
			var dialled []string
			o := options(server)
			o.Endpoint, o.EnableVirtualHostStyle = "http://s3.example.com"+port, virtual
			o.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialled = append(dialled, address)
				return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1"+port)
			}
			s := open(t, o)
			wantUsable(t, s)
			dialled = slices.Compact(dialled)
			if !slices.Equal(dialled, []string{want}) {
				t.Errorf("asked %q, want %q", dialled, want)
			}
			link, err := s.PresignGet(t.Context(), "key", time.Hour)
			if err != nil || !strings.HasPrefix(link, "http://"+want+"/") {
				t.Errorf("presigned URL %q, %v; want host %s", link, err, want)
			}
		})
	}
}
