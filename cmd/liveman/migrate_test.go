package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestMigrateConfig makes a configuration of one of the original, and starts with it.
func TestMigrateConfig(t *testing.T) {
	old, made := "../../internal/base/migrate/testdata/manager.toml", t.TempDir()+"/liveman.toml"
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"migrate-config", old}, nil, &stdout, &stderr); code != 1 {
		t.Fatalf("code %d\n%s", code, stderr.String())
	}
	if err := os.WriteFile(made, stdout.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"-config", made, "-check-config"}, nil, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "[storage]\ntype = \"s3\"") {
		t.Errorf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	stderr.Reset()
	if code := run(t.Context(), []string{"-config", old}, nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "liveman migrate-config "+old) {
		t.Errorf("started with the original's file: code %d\n%s", code, stderr.String())
	}
	stdout.Reset()
	if run(t.Context(), []string{"man"}, nil, &stdout, &stderr); !strings.Contains(stdout.String(), "liveman migrate\\-config FILE") {
		t.Errorf("the manual page lacks it:\n%s", stdout.String())
	}
}
