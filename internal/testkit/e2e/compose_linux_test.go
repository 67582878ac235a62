package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// TestCompose runs what deploy/compose.yaml has without the containers: its command lines,
// variables and files, on a network where its services have the names and ports that they
// have there. What is published to the manager is recorded by the node to MinIO, the manager
// has it in PostgreSQL, and Prometheus sees both.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := newCompose(t)
	c.postgres()
	c.run("minio", c.service("minio").line()...)
	node := c.run("live777", filepath.Join(c.bin, "live777"))
	manager := c.run("liveman", filepath.Join(c.bin, "liveman"))
	prometheus := c.run("prometheus", slices.Concat([]string{"prometheus"}, c.service("prometheus").line())...)
	await.Until(t, "the node has registered", func() bool {
		var nodes []struct{ Alias, State string }
		return manager.ask("/api/nodes", &nodes) && len(nodes) == 1 && nodes[0].Alias == "live777" && nodes[0].State == "up"
	})
	if !node.ask("/readyz", nil) || !manager.ask("/readyz", nil) {
		t.Error("a program is not ready")
	}

	p := c.publish(manager.url+"/whip/camera", 4*time.Second)
	if p.err != nil {
		t.Fatal(p.err)
	}
	rec := c.recorded(manager)
	back, err := verify.ReadRecording(t.Context(), c.bucket(), rec.RecordDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range slices.Concat(back.Problems, verify.Audit(back)) {
		t.Errorf("%s: %s", rec.RecordDir, problem)
	}
	if err := compare.Recording(p.log, back, compare.Options{}).Err(); err != nil || rec.Status != media.StatusComplete {
		t.Errorf("%s %s: %v", rec.Status, rec.Reason, err)
	}

	node.measures(rec.RecordDir,
		`live777_stream_recorded_packets_total{kind="video"`, `live777_stream_lost_packets_total{kind="video"`, `live777_stream_recovered_packets_total{kind="video"`,
		`live777_stream_recorded_frames_total{kind="audio"`, `live777_stream_segments_total{kind="audio"`,
		`live777_recordings_total{reason="none",status="complete"} 1`, `live777_recordings_total{reason="error",status="failed"} 0`,
		`live777_uploads_total{result="stored"}`, `live777_uploads_total{result="failed"}`, "live777_spool_used_bytes", "live777_spool_max_bytes",
		`live777_disk_free_bytes{disk="spool"}`, "live777_database_seconds_count",
		`live777_session_failures_total{cause="ice"} 0`, `live777_session_failures_total{cause="dtls"} 0`, "go_goroutines", "process_cpu_seconds_total")
	manager.measures(rec.RecordDir, `liveman_node_up{node="live777"} 1`, "liveman_database_up 1", "liveman_database_seconds_count",
		`liveman_nodes{state="up"} 1`, "liveman_catalogue_recordings 1", "liveman_requests_total{", "go_goroutines", "process_cpu_seconds_total")
	for _, while := range []string{ // it published
		`live777_stream_received_packets_total{stream="camera"}`, `live777_stream_received_bytes_total{stream="camera"}`, `live777_sessions{side="publisher",state="connected"}`,
	} {
		prometheus.sees("max_over_time(" + while + "[5m]) > 0")
	}
	prometheus.sees(`live777_recordings_total{job="live777",status="complete"} >= 1`)
	prometheus.sees(`liveman_node_up{node="live777"} == 1`)
	prometheus.sees(`up{job="live777"} == 1`)
	prometheus.sees(`up{job="liveman"} == 1`)
	node.stop(syscall.SIGTERM)
	prometheus.sees(`ALERTS{alertname="Live777Down",alertstate="pending"}`)
}

// composed is what deploy/compose.yaml says, as Compose reads it, and where it runs.
type composed struct {
	t       *testing.T
	link    *link
	bin     string
	hosts   string            // a file: who has which name
	env     map[string]string // what is in .env
	project struct {
		Services map[string]composeService
		Secrets  map[string]struct{ Environment string }
	}
}

type composeService struct {
	Entrypoint, Command []string
	Environment         map[string]string
	Volumes             []struct{ Type, Source, Target string }
}

// line is the command line of a container, as far as the file has it.
func (s composeService) line() []string { return slices.Concat(s.Entrypoint, s.Command) }

func newCompose(t *testing.T) *composed {
	t.Helper()
	l := newLink(t)
	dir := t.TempDir()
	bin, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	c := &composed{t: t, link: l, bin: bin, hosts: filepath.Join(dir, "hosts"), env: map[string]string{
		"VERSION": "0.0.0", "PUBLIC_IP": l.there, "TOKEN": strings.Repeat("1a", 32), "REGISTRATION_TOKEN": strings.Repeat("2b", 32),
		"POSTGRES_PASSWORD": strings.Repeat("3c", 32), "MINIO_PASSWORD": strings.Repeat("4d", 32), "GRAFANA_PASSWORD": "5e",
	}}
	variables := ""
	for name, value := range c.env {
		variables += name + "=" + value + "\n"
	}
	env := filepath.Join(dir, "env")
	c.write(env, variables)
	out, err := deployment(t, "compose", filepath.Join(repository, "deploy", "compose.yaml"), env)
	if err == nil {
		err = json.Unmarshal(out, &c.project)
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Hostname() // Prometheus asks for it
	if err != nil {
		t.Fatal(err)
	}
	names := "127.0.0.1 localhost " + self + "\n" + l.here + " postgres\n"
	for name := range c.project.Services {
		if name != "postgres" {
			names += l.there + " " + name + "\n"
		}
	}
	c.write(c.hosts, names)
	return c
}

// deployment has a file or folder of deploy/ read by who deploys it.
func deployment(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), filepath.Join(repository, ".cache", "bin", "release", "manifests"), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("manifests %q (make prepare builds it): %w\n%s", args, err, stderr.String())
	}
	return out, nil
}

func (c *composed) service(name string) composeService {
	c.t.Helper()
	s, ok := c.project.Services[name]
	if !ok {
		c.t.Fatalf("there is no service %s", name)
	}
	return s
}

func (c *composed) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// postgres has a server with the user and the password of the file, which the services reach
// at its name and port.
func (c *composed) postgres() {
	c.t.Helper()
	server, err := url.Parse(pgtest.Start(c.t).Database())
	if err != nil {
		c.t.Fatal(err)
	}
	server.RawQuery = "sslmode=disable"
	db, err := sql.Open("pgx", server.String())
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	env := c.service("postgres").Environment
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'", env["POSTGRES_USER"], env["POSTGRES_PASSWORD"]),
		fmt.Sprintf("CREATE DATABASE %s OWNER %[1]s", env["POSTGRES_USER"]), // named after its user, where POSTGRES_DB is not set
	} {
		if _, err := db.ExecContext(c.t.Context(), statement); err != nil {
			c.t.Fatal(err)
		}
	}
	forward(c.t, net.JoinHostPort(c.link.here, "5432"), server.Host)
}

// forward takes connections to another server.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = a.Close()
				continue
			}
			go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
			go func() { _, _ = io.Copy(b, a); _ = b.Close() }()
		}
	}()
}

// running is a service that has been started.
type running struct {
	c    *composed
	name string
	url  string
	cmd  *exec.Cmd
	done chan struct{}
}

// ports are where services answer.
var ports = map[string]string{"live777": "7777", "liveman": "8888", "minio": "9000", "prometheus": "9090"}

// answers are what services answer, once they serve.
var answers = map[string]string{"live777": "/healthz", "liveman": "/healthz", "minio": "/minio/health/cluster", "prometheus": "/-/ready"}

// run starts a service by a command line, and waits until it answers.
func (c *composed) run(name string, line ...string) *running {
	c.t.Helper()
	s, dir := c.service(name), c.t.TempDir()
	paths := []string{}
	for _, volume := range s.Volumes {
		place := filepath.Join(dir, filepath.Base(volume.Target))
		if volume.Type == "volume" {
			place = filepath.Join(dir, "volume")
			if err := os.Mkdir(place, 0o700); err != nil {
				c.t.Fatal(err)
			}
		}
		paths = append(paths, volume.Target, place)
	}
	for secret, of := range c.project.Secrets {
		place := filepath.Join(dir, secret)
		c.write(place, c.env[of.Environment])
		paths = append(paths, "/run/secrets/"+secret, place)
	}
	moved := strings.NewReplacer(append(paths, "scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s")...)
	for _, volume := range s.Volumes {
		if volume.Type == "bind" {
			text, err := os.ReadFile(volume.Source)
			if err != nil {
				c.t.Fatal(err)
			}
			c.write(filepath.Join(dir, filepath.Base(volume.Target)), moved.Replace(string(text)))
		}
	}
	for i := range line {
		line[i] = moved.Replace(line[i])
	}
	return c.start(name, dir, s.Environment, line)
}

func (c *composed) start(name, dir string, environment map[string]string, line []string) *running {
	c.t.Helper()
	wrapper := append(c.link.inside(), "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, c.hosts)
	line = slices.Concat(wrapper, line)
	r := &running{c: c, name: name, url: "http://" + net.JoinHostPort(c.link.there, ports[name]), done: make(chan struct{})}
	log := &logtest.Buffer{}
	r.cmd = exec.CommandContext(context.Background(), line[0], line[1:]...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = dir, log, log
	r.cmd.Env = []string{"PATH=" + filepath.Join(c.bin, "..", ".cache", "bin") + ":" + os.Getenv("PATH")}
	for key, value := range environment {
		r.cmd.Env = append(r.cmd.Env, key+"="+value)
	}
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { defer close(r.done); _ = r.cmd.Wait() }()
	c.t.Cleanup(func() {
		r.stop(syscall.SIGKILL)
		if c.t.Failed() {
			c.t.Logf("the log of %s:\n%s", name, log)
		}
	})
	await.Until(c.t, name+" answers", func() bool {
		select {
		case <-r.done:
			c.t.Fatalf("%s ended: %v", name, r.cmd.ProcessState)
		default:
		}
		return r.ask(answers[name], nil)
	})
	return r
}

// stop ends the service and waits for its end.
func (r *running) stop(sig syscall.Signal) {
	_ = r.cmd.Process.Signal(sig) // it may have ended
	<-r.done
}

// ask gets a path with the token, and reports whether the answer is 200.
func (r *running) ask(path string, out any) bool {
	a := ask(r.c.t, http.MethodGet, r.url+path, "", "Authorization", "Bearer "+r.c.env["TOKEN"])
	return a.status == http.StatusOK && (out == nil || json.Unmarshal(a.body, out) == nil)
}

// measures checks that GET /metrics has lines that begin like these, and nothing of a
// single recording, which would be another series for each.
func (r *running) measures(dir string, want ...string) {
	r.c.t.Helper()
	a := ask(r.c.t, http.MethodGet, r.url+"/metrics", "", "Authorization", "Bearer "+r.c.env["TOKEN"])
	text := "\n" + string(a.body)
	for _, line := range want {
		if !strings.Contains(text, "\n"+line) {
			r.c.t.Errorf("%s has no metric %s", r.name, line)
		}
	}
	if strings.Contains(text, dir) || strings.Contains(text, "record_dir") {
		r.c.t.Errorf("%s has metrics of a single recording", r.name)
	}
	if r.c.t.Failed() {
		r.c.t.Logf("the metrics of %s:%s", r.name, text)
	}
}

// sees waits until a query of Prometheus has a result.
func (r *running) sees(query string) {
	r.c.t.Helper()
	await.Until(r.c.t, query, func() bool {
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		return r.ask("/api/v1/query?query="+url.QueryEscape(query), &answer) && len(answer.Data.Result) > 0
	})
}

// publish publishes with the token to its end.
func (c *composed) publish(to string, d time.Duration) *publisher {
	c.t.Helper()
	pub, err := load.New(load.Options{
		URL: to, Token: c.env["TOKEN"], Video: source(c.t, "h264_baseline.h264"), Audio: source(c.t, "opus_stereo.ogg"), SenderReports: true, Duration: d,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	p := &publisher{t: c.t}
	p.log, p.err = pub.Run(c.t.Context())
	return p
}

// recorded waits until the manager has the one recording, and it has ended.
func (c *composed) recorded(manager *running) (rec media.Recording) {
	c.t.Helper()
	await.Until(c.t, "the recording is stored", func() bool {
		var page struct{ Recordings []media.Recording }
		if !manager.ask("/api/playback/camera", &page) || len(page.Recordings) != 1 {
			return false
		}
		rec = page.Recordings[0]
		return rec.Status != media.StatusRecording
	})
	return rec
}

// bucket reads what is in MinIO, past the programs.
func (c *composed) bucket() *s3.Store {
	c.t.Helper()
	env := c.service("minio").Environment
	store, err := s3.New(c.t.Context(), s3.Options{
		Bucket: "recordings", Root: "/", Region: "us-east-1", Endpoint: "http://" + net.JoinHostPort(c.link.there, ports["minio"]),
		AccessKeyID: env["MINIO_ROOT_USER"], SecretAccessKey: env["MINIO_ROOT_PASSWORD"], DisableConfigLoad: true,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return store
}
