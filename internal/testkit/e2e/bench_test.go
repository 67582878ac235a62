package e2e

import (
	"os/exec"
	"regexp"
	"testing"
)

// TestBenchRecord: the benchmark of recording measures a node and the reference receiver,
// and what the node recorded of it is complete.
func TestBenchRecord(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/benchrecord", "-streams", "1", "-rounds", "1", "-warm", "1s", "-for", "1s", "-program", program(t))
	cmd.Dir = repository
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`\| 1 \| live777 recorder \| [0-9.]+ \|.*\| complete \|`, `\| 1 \| pion, thrown away \| [0-9.]+ \| [0-9.]+ \|`} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
}
