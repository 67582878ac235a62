package miniotest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// once is a client that tries once, for as long as an answer may take on a busy
// machine.
func once(s *Server, endpoint string) *s3.Client { return limited(s, endpoint, time.Minute) }

// impatient is likewise for what no answer comes to: it waits for no longer than a
// second.
func impatient(s *Server, endpoint string) *s3.Client { return limited(s, endpoint, time.Second) }

func limited(s *Server, endpoint string, patience time.Duration) *s3.Client {
	return s3.New(s.Client().Options(), func(o *s3.Options) {
		o.BaseEndpoint = &endpoint
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	})
}

func put(ctx context.Context, c *s3.Client, key, content string) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(DefaultBucket), Key: &key, Body: strings.NewReader(content)})
	return err
}

func get(ctx context.Context, c *s3.Client, key string) (string, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(DefaultBucket), Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	return string(data), err
}

func TestServer(t *testing.T) {
	s := Start(t)
	c := once(s, s.Endpoint)
	ctx := t.Context()
	if err := put(ctx, c, "key", "content"); err != nil {
		t.Fatal(err)
	}

	s.Pause()
	if _, err := get(ctx, impatient(s, s.Endpoint), "key"); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	if got, err := get(ctx, c, "key"); err != nil || got != "content" {
		t.Errorf("resumed: %q, %v", got, err)
	}

	old := s.Pid()
	s.Kill()
	if _, err := get(ctx, c, "key"); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart()
	if got, err := get(ctx, c, "key"); err != nil || got != "content" || s.Pid() == old {
		t.Errorf("restarted: %q, %v", got, err)
	}

	s.RestartAs("another-user", "another-secret")
	if _, err := get(ctx, c, "key"); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Errorf("with the key of a user that is not there any more: %v", err)
	}
	if got, err := get(ctx, once(s, s.Endpoint), "key"); err != nil || got != "content" {
		t.Errorf("with the new user's: %q, %v", got, err)
	}
}

func TestProxy(t *testing.T) {
	s := Start(t)
	p := NewProxy(t, s.Endpoint)
	c := once(s, p.Endpoint)
	ctx := t.Context()
	big := strings.Repeat("x", 1<<20)

	for _, test := range []struct {
		name   string
		fault  Fault
		stored bool   // what PUT wrote is there afterwards
		want   string // part of the error
	}{
		{"none", Fault{}, true, ""},
		{"delay", Fault{Delay: 10 * time.Millisecond, Times: 1}, true, ""},
		{"rate", Fault{Rate: 10 << 20, Times: 1}, true, ""},
		{"SlowDown", Fault{Status: 503, Code: "SlowDown", Times: 1}, false, "SlowDown"},
		{"500 in mid-body", Fault{Status: 500, Code: "InternalError", CutRequest: 1000, Times: 1}, false, ""},
		{"cut", Fault{CutRequest: 1000, Times: 1}, false, ""},
		{"stall", Fault{Stall: true, Times: 1}, false, "Timeout"},
		{"answer lost", Fault{LoseAnswer: true, Times: 1}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.Clear()
			p.Inject(test.fault)
			client := c
			if test.fault.Stall {
				client = impatient(s, p.Endpoint)
			}
			err := put(ctx, client, test.name, big)
			wantError := !test.stored || test.fault.LoseAnswer
			if (err != nil) != wantError || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("PUT: error %v", err)
			}
			if got, err := get(ctx, c, test.name); (err == nil && got == big) != test.stored {
				t.Errorf("GET afterwards: %d bytes, %v; stored is %v", len(got), err, test.stored)
			}
		})
	}

	p.Clear()
	p.Inject(Fault{Match: Is(http.MethodGet), CutAnswer: 1000})
	if got, err := get(ctx, c, "none"); err == nil || len(got) > 1000 {
		t.Errorf("GET that is cut: %d bytes, %v", len(got), err)
	}
	if requests := p.Requests(); requests[0] != "PUT /recordings/none?x-id=PutObject" {
		t.Errorf("the first request was %q", requests[0])
	}
}
