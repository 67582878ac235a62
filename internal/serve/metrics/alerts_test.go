package metrics

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exported returns what the sources of this package call metrics: strings after the
// functions and fields that name them.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(describe|describeFleet|counter)\("([a-z_]+)"|(prefix|managerPrefix) \+ "([a-z_]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			names["live777_"+m[2]+m[4]], names["liveman_"+m[2]+m[4]] = true, true
		}
	}
	return names
}

// TestDeployNamesMetrics holds alerts and dashboards against the metrics that there are.
func TestDeployNamesMetrics(t *testing.T) {
	names := exported(t)
	used := regexp.MustCompile(`\b(live777|liveman)_[a-z_]+`)
	label := regexp.MustCompile(`\$\{?[a-z_]+|(job|uid)[":= ~]+"[^"]*"`)
	for _, file := range []string{"prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/node.json", "grafana/liveman.json"} {
		text, err := os.ReadFile("../../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, name := range used.FindAllString(label.ReplaceAllString(string(text), ""), -1) {
			if found++; !names[strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")] {
				t.Errorf("%s has %s, which is no metric", file, name)
			}
		}
		if found < 5 {
			t.Errorf("%s has %d metrics", file, found)
		}
	}
}

// TestAlerts has Prometheus evaluate the alert rules: alerts_test.yml says when each fires.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "config", "--syntax-only", "../compose/prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = "../../../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}
