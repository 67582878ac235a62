package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

type apiError struct{ code string }

func (e *apiError) Error() string                 { return e.code }
func (e *apiError) ErrorCode() string             { return e.code }
func (e *apiError) ErrorMessage() string          { return "" }
func (e *apiError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

// proxied starts a server and a proxy, and opens a Store through it.
func proxied(t *testing.T, stall time.Duration) (*Store, *miniotest.Proxy) {
	t.Helper()
	s, _, proxy := impatient(t, stall)
	return s, proxy
}

// impatient is proxied with a second store that waits as long as one usually does:
// what is to succeed does not depend on how busy the machine is.
func impatient(t *testing.T, stall time.Duration) (s, patient *Store, proxy *miniotest.Proxy) {
	t.Helper()
	clearEnv(t)
	server := miniotest.Start(t)
	proxy = miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint = proxy.Endpoint
	patient = open(t, o)
	o.stall = stall
	return open(t, o), patient, proxy
}

// TestAnswers: what each answer of a server to a write means, and that a write is
// one request: when to try again is the caller's to say.
func TestAnswers(t *testing.T) {
	s, proxy := proxied(t, 0)
	for _, test := range []struct {
		status int
		code   string
		is     error // nil: none of them
		kind   fault.Kind
	}{
		{503, "SlowDown", nil, fault.Unavailable},
		{503, "ServiceUnavailable", nil, fault.Unavailable},
		{500, "InternalError", nil, fault.Unavailable},
		{502, "", nil, fault.Unavailable},
		{429, "TooManyRequests", nil, fault.Unavailable},
		{400, "RequestTimeout", nil, fault.Unavailable},
		{403, "RequestTimeTooSkewed", nil, fault.Unavailable},
		{409, "ConditionalRequestConflict", nil, fault.Unavailable},
		{404, "NoSuchBucket", nil, fault.Unavailable},
		{412, "PreconditionFailed", fs.ErrExist, fault.Conflict},
		{507, "XMinioStorageFull", storage.ErrFull, fault.StorageFull},
		{507, "", storage.ErrFull, fault.StorageFull},
		{400, "XMinioAdminBucketQuotaExceeded", storage.ErrFull, fault.StorageFull},
		{403, "QuotaExceeded", storage.ErrFull, fault.StorageFull},
		{403, "InvalidAccessKeyId", storage.ErrDenied, fault.Unavailable},
		{403, "SignatureDoesNotMatch", storage.ErrDenied, fault.Unavailable},
		{403, "AllAccessDisabled", storage.ErrDenied, fault.Unavailable},
		{400, "ExpiredToken", storage.ErrDenied, fault.Unavailable},
		{400, "InvalidToken", storage.ErrDenied, fault.Unavailable},
		{401, "", storage.ErrDenied, fault.Unavailable},
		{400, "InvalidArgument", nil, fault.Internal},
	} {
		t.Run(fmt.Sprintf("%d %s", test.status, test.code), func(t *testing.T) {
			proxy.Clear()
			before := len(proxy.Requests())
			proxy.Inject(miniotest.Fault{Status: test.status, Code: test.code})
			err := s.Add(t.Context(), "key", strings.NewReader("content"), 7)
			if fault.KindOf(err) != test.kind || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error of kind %d: %v; want kind %d, %v", fault.KindOf(err), err, test.kind, test.is)
			}
			if test.is == nil && (errors.Is(err, storage.ErrDenied) || errors.Is(err, storage.ErrFull) || errors.Is(err, fs.ErrExist)) {
				t.Errorf("error %v says too much", err)
			}
			if n := len(proxy.Requests()) - before; n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestReadsAreRepeated(t *testing.T) {
	s, proxy := proxied(t, 0)
	put := func() error { return s.Put(t.Context(), "dir/key", strings.NewReader("content"), 7) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Get": func() error {
			r, err := s.Get(t.Context(), "dir/key", 0, -1)
			if err != nil {
				return err
			}
			return r.Close()
		},
		"Stat": func() error { _, err := s.Stat(t.Context(), "dir/key"); return err },
		"List": func() error {
			for _, err := range s.List(t.Context(), "dir") {
				return err
			}
			return errors.New("nothing there")
		},
		"Delete": func() error { return errors.Join(s.Delete(t.Context(), "dir/key"), put()) },
	} {
		proxy.Inject(miniotest.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown", Times: 1})
		if err := call(); err != nil {
			t.Errorf("%s after one SlowDown: %v", name, err)
		}
		proxy.Clear()
	}
}

// TestDeniedForGood: what MinIO refuses by accident is tried again, what it refuses
// always ends soon.
func TestDeniedForGood(t *testing.T) {
	s, proxy := proxied(t, 0)
	proxy.Inject(miniotest.Fault{Status: http.StatusForbidden, Code: "AccessDenied", Times: 2})
	if err := s.Put(t.Context(), "key", strings.NewReader("content"), 7); err != nil {
		t.Errorf("denied twice: %v", err)
	}
	proxy.Inject(miniotest.Fault{Status: http.StatusForbidden, Code: "AccessDenied"})
	before := len(proxy.Requests())
	if err := s.Put(t.Context(), "key", strings.NewReader("content"), 7); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("denied always: error %v, want storage.ErrDenied", err)
	}
	if n := len(proxy.Requests()) - before; n != raceAttempts {
		t.Errorf("%d requests, want %d", n, raceAttempts)
	}
}

// TestBrokenConnections: what breaks on the way is a fault.Unavailable, nothing
// half is stored, and what was stored without an answer is found.
func TestBrokenConnections(t *testing.T) {
	const stall = time.Second
	big := strings.Repeat("x", 8<<20)
	for _, test := range []struct {
		name   string
		fault  miniotest.Fault
		stored bool
	}{
		{"cut in the middle", miniotest.Fault{CutRequest: 1 << 20}, false},
		{"500 in the middle", miniotest.Fault{CutRequest: 1 << 20, Status: http.StatusInternalServerError, Code: "InternalError"}, false},
		{"server that does not read", miniotest.Fault{Stall: true}, false},
		{"server that does not answer", miniotest.Fault{LoseAnswer: true, Times: 1}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, patient, proxy := impatient(t, stall)
			proxy.Inject(test.fault)
			begun := time.Now()
			err := s.Add(t.Context(), "key", strings.NewReader(big), int64(len(big)))
			if !unavailable(err) && (!test.stored || !errors.Is(err, fs.ErrExist)) {
				t.Errorf("error %v, want a fault.Unavailable", err)
			}
			if took := time.Since(begun); took > stallTimeout {
				t.Errorf("it took %v", took)
			}
			proxy.Clear()
			err = patient.Add(t.Context(), "key", strings.NewReader(big), int64(len(big)))
			if test.stored != errors.Is(err, fs.ErrExist) || !test.stored && err != nil {
				t.Errorf("Add again: error %v; was it stored: %t", err, test.stored)
			}
			if o, err := patient.Stat(t.Context(), "key"); err != nil || o.Size != int64(len(big)) {
				t.Errorf("Stat = %+v, %v", o, err)
			}
		})
	}
}

func TestBrokenReading(t *testing.T) {
	s, patient, proxy := impatient(t, 300*time.Millisecond)
	big := strings.Repeat("x", 8<<20)
	if err := patient.Put(t.Context(), "key", strings.NewReader(big), int64(len(big))); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]miniotest.Fault{"cut": {CutAnswer: 1000}, "stalled": {Rate: 1}} {
		proxy.Clear()
		proxy.Inject(f)
		r, err := s.Get(t.Context(), "key", 0, -1)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			_ = r.Close()
		}
		if !unavailable(err) {
			t.Errorf("%s: error %v, want a fault.Unavailable", name, err)
		}
	}
	proxy.Clear()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := s.Stat(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: error %v", err)
	}
}

// TestSlowIsNotStalled: an upload that goes on takes as long as it takes. The
// server reads so slowly that the kernel's buffers fill, and answers at the end.
func TestSlowIsNotStalled(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size, stall = 8 << 20, time.Second
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
		buffer := make([]byte, 64<<10)
		tick := time.NewTicker(20 * time.Millisecond) // 3 MB/s
		defer tick.Stop()
		for total := 0; total < size; {
			n, err := io.ReadFull(conn, buffer)
			if err != nil {
				return
			}
			total += n
			<-tick.C
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+l.Addr().String(), strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	response, err := newHTTPClient(Options{stall: stall}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if took := time.Since(begun); took < 2*stall {
		t.Errorf("it took %v: too short to show anything", took)
	}
}
