// Package osstest is a server for tests that speaks the part of Aliyun OSS's
// protocol that the recorder needs, and checks V4 signatures by the documented
// algorithm, without any code of the SDK. Its objects are in memory. It can be
// told to fail, and be stopped and started again.
package osstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are the settings of a Server.
type Options struct {
	// Bucket is the name of the only bucket.
	Bucket string
	// Region is where it is: "cn-hangzhou" by default. Other regions in a
	// signature's scope are refused.
	Region string
	// Host is what follows the bucket in the Host header of virtual-host style,
	// "oss-REGION.aliyuncs.com" by default. With an IP address or localhost the
	// bucket is the first element of the path.
	Host string
	// Keys are the access keys, by ID.
	Keys map[string]Key
	// PageSize bounds the objects of a page of a listing; 0 means 1000.
	PageSize int
	// Versioning is what GetBucketInfo says: "", "Enabled" or "Suspended". Other
	// than "", x-oss-forbid-overwrite has no effect, as in OSS.
	Versioning string
	// Now is the server's clock; nil means time.Now.
	Now func() time.Time
}

// Key is an access key.
type Key struct {
	Secret string
	// Token is that of temporary credentials; every request must have it.
	Token string
	// Expires is when the key ceases to be valid; the zero time means never.
	Expires time.Time
	// ReadOnly refuses what writes.
	ReadOnly bool
}

// Server is an OSS server at a loopback address. Safe for concurrent use.
type Server struct {
	// URL is the endpoint, such as http://127.0.0.1:1234.
	URL string

	address    string
	bucket     string
	region     string
	host       string
	pageSize   int
	versioning string
	now        func() time.Time

	mu       sync.Mutex
	keys     map[string]Key
	fault    func(Request) Fault
	requests int
	objects  map[string]*object
	uploads  map[string]*upload
	nextID   int
	http     *http.Server
	served   chan struct{} // closed when http has ended
}

// Start starts a server. The caller closes it.
func Start(o Options) (*Server, error) {
	s := &Server{
		address: "127.0.0.1:0", bucket: o.Bucket, region: o.Region, host: o.Host,
		pageSize: o.PageSize, versioning: o.Versioning, now: o.Now,
		keys: maps.Clone(o.Keys), objects: map[string]*object{}, uploads: map[string]*upload{},
	}
	if s.region == "" {
		s.region = "cn-hangzhou"
	}
	if s.host == "" {
		s.host = "oss-" + s.region + ".aliyuncs.com"
	}
	if s.pageSize == 0 {
		s.pageSize = 1000
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.Restart(); err != nil {
		return nil, err
	}
	s.URL = "http://" + s.address
	return s, nil
}

// Restart serves again, at the same address, after Stop; the objects are still
// there.
func (s *Server) Restart() error {
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = listener.Addr().String()
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	s.http, s.served = server, served
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return nil
}

// Stop closes the port and cuts all connections, as when the server is killed.
func (s *Server) Stop() {
	s.mu.Lock()
	server, served := s.http, s.served
	s.http = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close() // what it says of single connections does not matter
		<-served
	}
}

// Close is Stop, for good.
func (s *Server) Close() { s.Stop() }

// Address is where the server listens, as host:port.
func (s *Server) Address() string { return s.address }

// SetKeys replaces the access keys.
func (s *Server) SetKeys(keys map[string]Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = maps.Clone(keys)
}

func (s *Server) key(id string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id]
	return k, ok
}

// Keys returns the names of all objects, in lexical order.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Content returns the bytes of an object, which must not be changed, and
// whether there is one.
func (s *Server) Content(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return nil, false
	}
	return o.content, true
}

// Uploads returns how many multipart uploads are neither completed nor aborted.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Requests returns how many requests have come so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// ServeHTTP answers a request of any style.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	id := fmt.Sprintf("%024X", s.requests)
	fault := s.fault
	s.mu.Unlock()
	w.Header().Set("X-Oss-Request-Id", id)
	w.Header().Set("Server", "AliyunOSS")
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))

	bucket, key, fail := s.locate(r)
	if fail == nil && fault != nil {
		f := fault(Request{Operation: operation(r, key), Key: key})
		w, r, fail = f.apply(w, r, operation(r, key) == "GetObject")
		if f.Lost {
			defer panic(http.ErrAbortHandler) // net/http cuts the connection
		}
	}
	if fail == nil {
		fail = s.serve(w, r, bucket, key)
	}
	if fail != nil {
		fail.write(w, r, id)
	}
}

// locate finds bucket and key in host and path.
func (s *Server) locate(r *http.Request) (bucket, key string, fail *apiError) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if net.ParseIP(host) != nil || host == "localhost" {
		bucket, key, _ = strings.Cut(path, "/")
		return bucket, key, nil
	}
	bucket, domain, _ := strings.Cut(host, ".")
	if bucket == s.bucket && domain != s.host {
		fail = newError(http.StatusForbidden, "AccessDenied",
			"The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.", "0003-00001403")
		fail.Endpoint = s.host
	}
	return bucket, path, fail
}

// serve authenticates the request and does what it asks for.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, bucket, key string) *apiError {
	owner, fail := s.authenticate(r, bucket, key)
	if fail != nil {
		return fail
	}
	if bucket != s.bucket {
		return errBucket
	}
	if owner.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errReadOnly
	}
	handle, ok := map[string]func(http.ResponseWriter, *http.Request, string) *apiError{
		"PutObject": s.putObject, "GetObject": s.getObject, "HeadObject": s.getObject, "DeleteObject": s.deleteObject,
		"ListObjectsV2": s.listObjects, "GetBucketInfo": s.bucketInfo,
		"InitiateMultipartUpload": s.initiateUpload, "UploadPart": s.uploadPart,
		"CompleteMultipartUpload": s.completeUpload, "AbortMultipartUpload": s.abortUpload,
	}[operation(r, key)]
	if !ok {
		return errMethod
	}
	return handle(w, r, key)
}

// operation is OSS's name of what the request asks for, "" for what is not known.
func operation(r *http.Request, key string) string {
	q := r.URL.Query()
	object := map[string]string{
		http.MethodPut: "PutObject", http.MethodGet: "GetObject", http.MethodHead: "HeadObject", http.MethodDelete: "DeleteObject",
	}
	upload := map[string]string{
		http.MethodPut: "UploadPart", http.MethodPost: "CompleteMultipartUpload", http.MethodDelete: "AbortMultipartUpload",
	}
	switch {
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case key == "" && r.Method == http.MethodGet && q.Has("bucketInfo"):
		return "GetBucketInfo"
	case key == "":
		return ""
	case q.Has("uploads") && r.Method == http.MethodPost:
		return "InitiateMultipartUpload"
	case q.Has("uploadId"):
		return upload[r.Method]
	default:
		return object[r.Method]
	}
}
