package oss_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
)

func TestNew(t *testing.T) {
	good := oss.Options{Bucket: "recordings", Region: "cn-hangzhou", Endpoint: "https://oss-cn-hangzhou.aliyuncs.com"}
	if _, err := oss.New(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		option string
		change func(*oss.Options)
	}{
		{"bucket", func(o *oss.Options) { o.Bucket = "" }},
		{"bucket", func(o *oss.Options) { o.Bucket = "No_Bucket" }},
		{"region", func(o *oss.Options) { o.Region = "" }},
		{"region", func(o *oss.Options) { o.Region = "oss-" }},
		{"region", func(o *oss.Options) { o.Region = "cn hangzhou" }},
		{"endpoint", func(o *oss.Options) { o.Endpoint = "" }},
		{"endpoint", func(o *oss.Options) { o.Endpoint = "oss-cn-hangzhou.aliyuncs.com" }},
		{"endpoint", func(o *oss.Options) { o.Endpoint = "ftp://oss-cn-hangzhou.aliyuncs.com" }},
		{"endpoint", func(o *oss.Options) { o.Endpoint = "https://oss-cn-hangzhou.aliyuncs.com/recordings" }},
		{"endpoint", func(o *oss.Options) { o.Endpoint = "https://u:hunter2@oss-cn-hangzhou.aliyuncs.com" }},
		{"root", func(o *oss.Options) { o.Root = "/a/../b" }},
		{"root", func(o *oss.Options) { o.Root = strings.Repeat("x/", 101) }},
		{"access_key_secret", func(o *oss.Options) { o.AccessKeyID = "key" }},
		{"access_key_id", func(o *oss.Options) { o.AccessKeySecret = "hunter2" }},
		{"access_key_id", func(o *oss.Options) { o.SecurityToken = "hunter2" }},
	} {
		o := good
		test.change(&o)
		_, err := oss.New(t.Context(), o)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "recorder.storage."+test.option) {
			t.Errorf("%s: error %v, want a fault.Invalid that names it", test.option, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in the error: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	keys := map[string]osstest.Key{
		"key": {Secret: secret}, "reader": {Secret: secret, ReadOnly: true},
		"STS.1": {Secret: secret, Token: "token"}, "STS.2": {Secret: secret, Token: "token", Expires: time.Now()},
	}
	for _, test := range []struct {
		name   string
		change func(*oss.Options)
		server osstest.Options
		fault  osstest.Fault
		kind   fault.Kind
		want   string // "" for no error
	}{
		{name: "good"},
		{name: "root", change: func(o *oss.Options) { o.Root = "/a/b/" }},
		{name: "token", change: func(o *oss.Options) { o.AccessKeyID, o.SecurityToken = "STS.1", "token" }},
		{name: "bucket", change: func(o *oss.Options) { o.Bucket = "another" }, kind: fault.Invalid, want: "recorder.storage.bucket"},
		{name: "region", change: func(o *oss.Options) { o.Region = "cn-beijing" }, kind: fault.Invalid, want: "recorder.storage.region"},
		{name: "key", change: func(o *oss.Options) { o.AccessKeyID = "who" }, kind: fault.Invalid, want: "recorder.storage.access_key_id"},
		{name: "secret", change: func(o *oss.Options) { o.AccessKeySecret += "x" }, kind: fault.Invalid, want: "recorder.storage.access_key_secret"},
		{name: "no token", change: func(o *oss.Options) { o.AccessKeyID = "STS.1" }, kind: fault.Invalid, want: "security_token"},
		{name: "other token", change: func(o *oss.Options) { o.AccessKeyID, o.SecurityToken = "STS.1", "other" }, kind: fault.Invalid, want: "recorder.storage.security_token"},
		{name: "expired", change: func(o *oss.Options) { o.AccessKeyID, o.SecurityToken = "STS.2", "token" }, kind: fault.Invalid, want: "recorder.storage.security_token: it has expired"},
		{name: "read only", change: func(o *oss.Options) { o.AccessKeyID = "reader" }, kind: fault.Invalid, want: "recorder.storage.access_key_id: this key may not write"},
		{name: "no keys", change: func(o *oss.Options) { o.AccessKeyID, o.AccessKeySecret = "", "" }, kind: fault.Invalid, want: "OSS_ACCESS_KEY_ID"},
		{name: "not OSS", change: func(o *oss.Options) { o.Endpoint = web.URL }, kind: fault.Invalid, want: "does not answer as OSS does"},
		{name: "nothing there", change: func(o *oss.Options) { o.Endpoint = "http://127.0.0.1:1" }, kind: fault.Unavailable, want: "recorder.storage.endpoint"},
		{name: "clock", server: osstest.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}, kind: fault.Unavailable, want: "clock"},
		{name: "busy", fault: osstest.Fault{Status: 503, Code: "SlowDown"}, kind: fault.Unavailable, want: "SlowDown"},
		{name: "may not list", fault: osstest.Fault{Status: 403, Code: "AccessDenied"}, kind: fault.Invalid, want: "recorder.storage.access_key_id: this key may not list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.Keys = keys
			s := startServer(t, test.server)
			s.SetFault(func(osstest.Request) osstest.Fault { return test.fault })
			o := options(s)
			if test.change != nil {
				test.change(&o)
			}
			err := open(t, o).Check(t.Context())
			switch {
			case test.want == "" && err != nil:
				t.Errorf("error %v", err)
			case test.want != "" && (err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want kind %d and %q", err, test.kind, test.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("the secret is in the error: %v", err)
			}
			if left := s.Keys(); len(left) != 0 {
				t.Errorf("Check leaves %q in the bucket", left)
			}
		})
	}
}

// TestCheckEndpointOfOtherRegion has the server where the bucket is not.
func TestCheckEndpointOfOtherRegion(t *testing.T) {
	s := startServer(t, osstest.Options{})
	o := options(s)
	o.Endpoint, o.Region = "http://oss-cn-beijing.aliyuncs.com", "cn-beijing"
	o.HTTPClient = &http.Client{Transport: redirect(s.Address())}
	err := open(t, o).Check(t.Context())
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "recorder.storage.endpoint") {
		t.Errorf("error %v, want a fault.Invalid that names the endpoint", err)
	}
}

// redirect sends every request to one address, with the Host that it has.
type redirect string

func (r redirect) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Host, request.URL.Host = request.URL.Host, string(r)
	return http.DefaultTransport.RoundTrip(request)
}

func TestCheckVersioning(t *testing.T) {
	s := startServer(t, osstest.Options{Versioning: "Enabled"})
	var log bytes.Buffer
	o := options(s)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if err := open(t, o).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "versioning=Enabled") {
		t.Errorf("no warning that Add replaces: %s", log.String())
	}
}

// TestEnvironment: keys come from the environment where the options have none,
// and new ones are used when they are there.
func TestEnvironment(t *testing.T) {
	s := startServer(t, osstest.Options{Keys: map[string]osstest.Key{
		"first": {Secret: secret}, "STS.1": {Secret: secret, Token: "token 1"}, "STS.2": {Secret: secret, Token: "token 2"},
	}})
	var mu sync.Mutex
	values := map[string]string{}
	set := func(pairs ...string) {
		mu.Lock()
		defer mu.Unlock()
		clear(values)
		values["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] = "true"
		for i := 0; i < len(pairs); i += 2 {
			values[pairs[i]] = pairs[i+1]
		}
	}
	set()
	o := options(s)
	o.AccessKeyID, o.AccessKeySecret = "", ""
	o.Getenv = func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		return values[name]
	}
	store := open(t, o)
	if err := store.Put(t.Context(), "key", stream("x"), 1); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "OSS_ACCESS_KEY_ID") {
		t.Errorf("without keys: error %v", err)
	}
	set("OSS_ACCESS_KEY_ID", "first", "OSS_ACCESS_KEY_SECRET", secret, "ALIBABA_CLOUD_SECURITY_TOKEN", "of another key")
	put(t, store, "key", "OSS")
	set("ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret, "ALIBABA_CLOUD_SECURITY_TOKEN", "token 1")
	put(t, store, "key", "ALIBABA_CLOUD")
	set("OSS_ACCESS_KEY_ID", "STS.1", "OSS_ACCESS_KEY_SECRET", secret, "OSS_SESSION_TOKEN", "token 1")
	put(t, store, "key", "STS")
	s.SetKeys(map[string]osstest.Key{
		"STS.1": {Secret: secret, Token: "token 1", Expires: time.Now()}, "STS.2": {Secret: secret, Token: "token 2"},
	})
	if err := store.Put(t.Context(), "key", stream("x"), 1); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("with an expired token: error %v, want ErrDenied", err)
	}
	set("OSS_ACCESS_KEY_ID", "STS.2", "OSS_ACCESS_KEY_SECRET", secret, "OSS_SESSION_TOKEN", "token 2")
	put(t, store, "key", "renewed")
	if got, _ := s.Content("key"); string(got) != "renewed" {
		t.Errorf("the object is %q", got)
	}
}

// TestCredentialsURI: keys come from a service, which is asked again when they
// have expired, and only then.
func TestCredentialsURI(t *testing.T) {
	s := startServer(t, osstest.Options{Keys: map[string]osstest.Key{
		"STS.1": {Secret: secret, Token: "token 1"}, "STS.2": {Secret: secret, Token: "token 2"},
	}})
	answers := make(chan string, 3)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case answer := <-answers:
			_, _ = w.Write([]byte(answer))
		default:
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(service.Close)
	o := options(s)
	o.AccessKeyID, o.AccessKeySecret = "", ""
	o.Getenv = func(name string) string {
		return map[string]string{"ALIBABA_CLOUD_CREDENTIALS_URI": service.URL}[name]
	}
	store := open(t, o)
	key := func(n string, expires time.Time) string {
		return `{"Code":"Success","AccessKeyId":"STS.` + n + `","AccessKeySecret":"` + secret + `","SecurityToken":"token ` + n +
			`","Expiration":"` + expires.UTC().Format(time.RFC3339) + `"}`
	}
	answers <- `{"AccessKeySecret":"` + secret + `"}`
	err := store.Put(t.Context(), "key", stream("x"), 1)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "ALIBABA_CLOUD_CREDENTIALS_URI") || strings.Contains(err.Error(), secret) {
		t.Errorf("with half a key: error %v", err)
	}
	answers <- key("1", time.Now().Add(-time.Hour)) // good for this request, by the server's clock
	put(t, store, "key", "first")
	s.SetKeys(map[string]osstest.Key{"STS.2": {Secret: secret, Token: "token 2"}})
	answers <- key("2", time.Now().Add(10*time.Hour))
	put(t, store, "key", "second")
	put(t, store, "key", "third")
}
