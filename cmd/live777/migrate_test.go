package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestMigrateConfig makes a configuration of one of the original, and starts with it.
func TestMigrateConfig(t *testing.T) {
	old, made := "../../internal/base/migrate/testdata/node.toml", t.TempDir()+"/live777.toml"
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"migrate-config", old}, nil, &stdout, &stderr); code != 1 {
		t.Fatalf("code %d\n%s", code, stderr.String())
	}
	if err := os.WriteFile(made, stdout.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"-config", made, "-check-config"}, nil, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "[recorder.storage]\ntype = \"s3\"") {
		t.Errorf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	stderr.Reset()
	if code := run(t.Context(), []string{"-config", old}, nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "live777 migrate-config "+old) {
		t.Errorf("started with the original's file: code %d\n%s", code, stderr.String())
	}
	stdout.Reset()
	if run(t.Context(), []string{"man"}, nil, &stdout, &stderr); !strings.Contains(stdout.String(), "live777 migrate\\-config FILE") {
		t.Errorf("the manual page lacks it:\n%s", stdout.String())
	}
}
