// Package miniotest runs a real MinIO server for tests, which can be killed,
// paused and started again, and a proxy in front of it that breaks connections.
package miniotest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/live777/recorder/internal/testkit/portlock"
)

const (
	// Region is what a server says its region is.
	Region = "us-east-1"
	// DefaultBucket is made when a server starts for the first time.
	DefaultBucket = "recordings"

	binary = ".cache/bin/minio" // below the repository's root; see the Makefile

	startTimeout = time.Minute
	pollInterval = 20 * time.Millisecond
)

// Options change how a server runs. The zero value is fine for most tests.
type Options struct {
	// Dir keeps the data; empty means a directory that is removed after the test.
	Dir string
	// AccessKey and SecretKey are the root user's; empty means made up.
	AccessKey, SecretKey string
	// Env has more variables for the server, as os.Environ writes them, such as
	// MINIO_DOMAIN=localhost.
	Env []string
	// Wrapper is a command line that the server's is appended to, and which ends in
	// an exec of it.
	Wrapper []string
}

// Server is a MinIO process that ends with the test. Its methods fail the test
// when they cannot do what they say, so they belong into the test's goroutine.
type Server struct {
	Endpoint  string // http://127.0.0.1:port; stays the same across restarts
	AccessKey string // of the root user
	SecretKey string
	Bucket    string // there from the start
	Dir       string // the data's

	t       testing.TB
	env     []string
	wrapper []string
	process *process // nil after Kill
}

// Start starts a server with a bucket and nothing in it.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Options{})
}

// StartWith is Start with options.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{
		AccessKey: o.AccessKey, SecretKey: o.SecretKey, Bucket: DefaultBucket, Dir: o.Dir,
		t: t, env: o.Env, wrapper: o.Wrapper,
	}
	if s.AccessKey == "" {
		s.AccessKey, s.SecretKey = "recorder-test", "recorder-test-secret"
	}
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	t.Cleanup(s.Kill)
	s.Endpoint = "http://" + portlock.Address(t)
	if err := s.run(); err != nil {
		t.Fatalf("start MinIO: %v", err)
	}
	s.NewBucket(s.Bucket)
	return s
}

// Pid is the process id of the server that runs now.
func (s *Server) Pid() int { return s.process.cmd.Process.Pid }

// Kill ends the server at once, as a crash does (SIGKILL), and waits until it is
// gone. A server that does not run stays so.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.cmd.Process.Kill() // it may have ended by itself
		<-s.process.done
		s.process = nil
	}
}

// Restart kills the server if it runs and starts it again with the same data,
// address and users; it returns when it serves.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart MinIO: %v", err)
	}
}

// RestartAs is Restart with another root user: keys of the old one are not valid
// any more.
func (s *Server) RestartAs(accessKey, secretKey string) {
	s.t.Helper()
	s.AccessKey, s.SecretKey = accessKey, secretKey
	s.Restart()
}

// Pause stops the server without closing anything (SIGSTOP): connections are
// accepted by the kernel, and nobody answers. It returns when the server has stopped.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !stopped(s.Pid()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatal("MinIO does not stop")
		}
	}
}

// Resume ends Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("send MinIO %v: %v", sig, err)
	}
}

// Client returns a client of the root user, past the code under test.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		Region: Region, BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
}

// NewBucket makes a bucket.
func (s *Server) NewBucket(name string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), startTimeout)
	defer cancel()
	if _, err := s.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		s.t.Fatalf("make bucket %q: %v", name, err)
	}
}

// Credentials are keys of the server.
type Credentials struct{ AccessKey, SecretKey, SessionToken string }

// AssumeRole makes temporary credentials, which are valid for an hour, as the
// server's STS gives them. policy is an IAM policy (JSON) that bounds them; "" is none.
func (s *Server) AssumeRole(policy string) Credentials {
	s.t.Helper()
	in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:xxx:xxx:xxx:xxxx"), RoleSessionName: aws.String("test")} // ignored
	if policy != "" {
		in.Policy = &policy
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	out, err := sts.New(sts.Options{
		Region: Region, BaseEndpoint: aws.String(s.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	}).AssumeRole(ctx, in)
	if err != nil {
		s.t.Fatalf("make temporary credentials: %v", err)
	}
	return Credentials{*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken}
}

// run starts the process and waits until it serves requests.
func (s *Server) run() error {
	address := s.Endpoint[len("http://"):]
	line := slices.Concat(s.wrapper, []string{
		program(s.t), "server", "--quiet", "--address", address, "--certs-dir", filepath.Join(s.Dir, ".certs"), s.Dir,
	})
	cmd := exec.Command(line[0], line[1:]...) //nolint:noctx,gosec // ended by Kill; the tests' own
	cmd.Env = append(cleanEnv(), "HOME="+s.Dir, "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey,
		"MINIO_SITE_REGION="+Region, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
	cmd.Env = append(cmd.Env, s.env...)
	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	s.process = p
	if err := p.waitReady(s.Endpoint); err != nil {
		s.Kill()
		return fmt.Errorf("%w; it wrote:\n%s", err, p.output.String())
	}
	return nil
}

// program returns the path of the server's program.
func program(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the path of this package's sources is not known")
	}
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", "..", filepath.FromSlash(binary))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the tests need a MinIO server; `make %s` builds it (%v)", binary, err)
	}
	return path
}

// cleanEnv is this process's environment without what configures MinIO.
func cleanEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}

// process is a child that does not survive this process.
type process struct {
	cmd    *exec.Cmd
	output *buffer
	done   chan struct{} // closed when it has ended
}

// startProcess starts cmd from a thread that lives as long as the child: the
// kernel's signal upon the parent's death (see prctl(2), PR_SET_PDEATHSIG) is
// sent when the thread that forked it ends.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, output: &buffer{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed is how it ends
		}
	}()
	return p, <-started
}

// waitReady returns when the server at endpoint says that it can read and write.
func (p *process) waitReady(endpoint string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if healthy(ctx, endpoint) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("MinIO ended at once: %v", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("MinIO does not serve after %v", startTimeout)
		}
	}
}

func healthy(ctx context.Context, endpoint string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/minio/health/cluster", http.NoBody)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// buffer collects a child's output. Safe for concurrent use.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// maxOutput bounds what is kept of a child's output.
const maxOutput = 64 << 10

// Write implements io.Writer; what is too much is dropped.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.data.Len() < maxOutput {
		b.data.Write(p)
	}
	return len(p), nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}
