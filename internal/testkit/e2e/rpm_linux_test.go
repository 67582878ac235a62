package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestRPM has rpm itself judge and install the package, into a folder, without its scripts:
// this machine is none of its kind.
func TestRPM(t *testing.T) {
	t.Parallel()
	first, second := makeRPM(t, "v9.0.1"), makeRPM(t, "v9.0.2")
	root := t.TempDir()
	rpm := func(args ...string) string {
		t.Helper()
		if !strings.HasPrefix(args[0], "-q") {
			args = append([]string{"--nodeps", "--noscripts", "--nosignature"}, args...)
		}
		out, err := exec.CommandContext(t.Context(), "rpm", append([]string{"--root", root}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("rpm %q (Debian package rpm): %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := rpm("-qp", "--qf", "%{NAME} %{VERSION} %{LICENSE} %{BUILDHOST}", first); got != "live777 9.0.1 MIT localhost" {
		t.Errorf("it is %q", got)
	}
	if scripts := rpm("-qp", "--scripts", first); strings.Contains(scripts, "@") || strings.Contains(scripts, "$NAME") || strings.Count(scripts, "live777.service") < 4 {
		t.Errorf("the scripts are\n%s", scripts)
	}
	rpm("-i", first)
	config := filepath.Join(root, configFile)
	if err := os.WriteFile(config, []byte("# changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rpm("-U", second)
	if text, err := os.ReadFile(config); err != nil || string(text) != "# changed\n" {
		t.Errorf("the configuration is %q, %v", text, err)
	}
	if _, err := os.Stat(config + ".rpmnew"); err == nil {
		t.Error("a configuration that is the same in both versions lies beside the one that was changed")
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "usr", "bin", "live777"), "help").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := rpm("-q", "live777"); got != "live777-9.0.2-1."+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] {
		t.Errorf("installed is %s", got)
	}
	rpm("-e", "live777")
	if left, err := filepath.Glob(filepath.Join(root, "usr", "*", "*live777*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
	if _, err := os.Stat(config + ".rpmsave"); err != nil {
		t.Errorf("the configuration that was changed: %v", err)
	}
}

// makeRPM makes the package of live777 for this machine, of a program that calls the one that
// make build has built: to pack that takes long.
func makeRPM(t *testing.T, version string) string {
	t.Helper()
	out, binaries := t.TempDir(), t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", program(t))
	if err := os.WriteFile(filepath.Join(binaries, "live777"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "scripts/release.sh", ".cache/bin/release", ".cache/bin/supply", "packages")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "VERSION="+version, "OUT="+out, "PROGRAMS=live777", "FORMATS=rpm", "PLATFORMS=linux/"+runtime.GOARCH, "BINARIES="+binaries)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	made, err := filepath.Glob(filepath.Join(out, fmt.Sprintf("live777-%s-1.*.rpm", strings.TrimPrefix(version, "v"))))
	if err != nil || len(made) != 1 {
		t.Fatalf("made are %q, %v", made, err)
	}
	return made[0]
}
