package arrangetest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Update says that golden files are to be written anew (the flag -update).
var Update = flag.Bool("update", false, "write the golden files anew")

// Golden compares a text with that of a golden file in testdata, line by line.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *Update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, is := strings.Split(Before(t, name), "\n"), strings.Split(got, "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			t.Errorf("%s line %d:\n  %s\nbefore:\n  %s", name, i+1, is[i], was[i])
			return
		}
	}
	if len(was) != len(is) {
		t.Errorf("%s has %d lines, before %d", name, len(is), len(was))
	}
}

// Before returns the text of a golden file.
func Before(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
