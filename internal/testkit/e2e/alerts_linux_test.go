package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// TestAlertsFire has a real Prometheus watch real programs by the rules that are delivered.
// Of these only `for` is shorter, and the programs are asked more often: each of five alerts
// fires when what it is about happens, and says where.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	full := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\n", inNamespace("size=8m")...)
	filling := startInOutage(t, miniotest.Start(t), "", 72)
	manager := newService(t, "liveman", fmt.Sprintf("[http]\nlisten = \"%%s\"\n[fleet]\npoll_seconds = 1\n[[nodes]]\nalias = \"edge\"\nurl = %q\n", filling.url))
	p := startPrometheus(t, []*server{full, filling}, []*server{manager.server})

	p.fires("Live777DiskLow", "instance", host(full), "disk", "storage")
	p.fires("Live777SpoolFilling", "instance", host(filling))
	camera := full.publish("camera-1", 0)
	full.await("two segments", "camera-1", func(st status) bool { return st.Duration >= 4 })
	p.sees(`rate(live777_stream_received_packets_total{stream="camera-1"}[1m]) > 0`)
	p.sees(`liveman_node_up{node="edge"} == 1`)
	for _, alert := range []string{"Live777RecordingFailed", "Live777StreamMissing", "LivemanNodeDown", "Live777Down"} {
		if p.has(fmt.Sprintf("ALERTS{alertname=%q}", alert)) {
			t.Errorf("%s is there before anything has happened", alert)
		}
	}

	fill(t, filepath.Join(fmt.Sprintf("/proc/%d/root%s", full.cmd.Process.Pid, full.root), ".ballast"))
	p.fires("Live777RecordingFailed", "instance", host(full))
	camera.end()
	_ = filling.stop(syscall.SIGKILL) // which is how it ends
	p.fires("Live777Down", "instance", host(filling))
	p.fires("LivemanNodeDown", "instance", host(manager.server), "node", "edge")
	p.fires("Live777StreamMissing", "stream", "camera-1") // a minute after its last packet
}

// host is what Prometheus has a program's metrics under.
func host(s *server) string { return strings.TrimPrefix(s.url, "http://") }

// prometheus is Debian's.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus starts one with the files of deploy/prometheus.
func startPrometheus(t *testing.T, nodes, managers []*server) *prometheus {
	t.Helper()
	dir, address := t.TempDir(), portlock.Address(t)
	configurePrometheus(t, dir, nodes, managers)
	log, done := &logtest.Buffer{}, make(chan struct{})
	cmd := exec.CommandContext(context.Background(), "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("Debian package prometheus: %v", err)
	}
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-done
		if t.Failed() {
			t.Logf("the log of Prometheus:\n%s", log)
		}
	})
	p := &prometheus{t: t, url: "http://" + address}
	await.Until(t, "Prometheus answers", func() bool {
		select {
		case <-done:
			t.Fatalf("Prometheus ended: %v", cmd.ProcessState)
		default:
		}
		return ask(t, http.MethodGet, p.url+"/-/ready", "").status == http.StatusOK
	})
	return p
}

// configurePrometheus writes the configuration and the rules that are delivered, with these programs in
// the place of the delivered ones, and for seconds.
func configurePrometheus(t *testing.T, dir string, nodes, managers []*server) {
	t.Helper()
	targets := func(list []*server) string {
		names := make([]string, len(list))
		for i, s := range list {
			names[i] = fmt.Sprintf("%q", host(s))
		}
		return strings.Join(names, ", ")
	}
	text := deployed(t, "prometheus.yml")
	for _, change := range [][2]string{
		{"scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s"},
		{`"live777:7777"`, targets(nodes)},
		{`"liveman:8888"`, targets(managers)},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("prometheus.yml has no %s", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	rules := regexp.MustCompile(`(?m)^( +for:) .*$`).ReplaceAllString(deployed(t, "alerts.yml"), "$1 1s")
	for name, text := range map[string]string{"prometheus.yml": text, "alerts.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// deployed reads a file of deploy/prometheus.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "deploy", "prometheus", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// has reports whether a query has a result.
func (p *prometheus) has(query string) bool {
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	a := ask(p.t, http.MethodGet, p.url+"/api/v1/query?query="+url.QueryEscape(query), "")
	return a.status == http.StatusOK && json.Unmarshal(a.body, &answer) == nil && len(answer.Data.Result) > 0
}

// sees waits until a query has a result.
func (p *prometheus) sees(query string) {
	p.t.Helper()
	await.Until(p.t, query, func() bool { return p.has(query) })
}

// fires waits until Prometheus lists an alert as firing, with labels, which are pairs of
// names and values, and with a summary of it.
func (p *prometheus) fires(name string, labels ...string) {
	p.t.Helper()
	await.Until(p.t, fmt.Sprintf("%s %q fires", name, labels), func() bool {
		var answer struct {
			Data struct {
				Alerts []struct {
					Labels, Annotations map[string]string
					State               string
				}
			}
		}
		a := ask(p.t, http.MethodGet, p.url+"/api/v1/alerts", "")
		if a.status != http.StatusOK || json.Unmarshal(a.body, &answer) != nil {
			return false
		}
		for _, alert := range answer.Data.Alerts {
			match := alert.Labels["alertname"] == name && alert.State == "firing"
			for i := 0; i+1 < len(labels); i += 2 {
				match = match && alert.Labels[labels[i]] == labels[i+1]
			}
			if match {
				p.t.Logf("%s: %s", name, alert.Annotations["summary"])
				return true
			}
		}
		return false
	})
}
