package arch

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxLines is where a file has become several: nobody finds anything in it.
const maxLines = 600

// sourceFiles calls visit with every text file of the tree that belongs to the
// project, by its path from the root.
func sourceFiles(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	// Version control, build results, other people's modules, recordings.
	foreign := []string{".git", ".cache", "bin", "storage", "internal/serve/web/dist", "web/node_modules", "docs/site/node_modules", "docs/site/src"}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err = filepath.Rel(root, path)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if entry.IsDir() {
			if slices.Contains(foreign, path) {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		if utf8.Valid(text) && !bytes.ContainsRune(text, 0) {
			visit(path, text)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the tree: %v", err)
	}
}

func TestPackageDocs(t *testing.T) {
	for name, p := range listPackages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("package %s has no doc comment: say in one file, in a sentence or a few, what it is for", name)
		}
	}
}

func TestFileLength(t *testing.T) {
	code := []string{".go", ".ts", ".tsx", ".mjs", ".sh", ".css"}
	sourceFiles(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") || !slices.Contains(code, filepath.Ext(path)) {
			return
		}
		if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by what its parts are for", path, lines, maxLines)
		}
	})
}

// skip finds the calls that leave a test out, in Go and in the page's tests.
var skip = regexp.MustCompile(`\b[a-z]+\.(Skip|Skipf|SkipNow)\(|\b(it|test|describe)\.(skip|only|todo)\b`)

// TestNoSkips: a test that was asked to run and did not is a failure. One that
// needs a program says which to install, and fails.
func TestNoSkips(t *testing.T) {
	// Helpers of tests that need what a developer may not have the right to, and
	// that fail with CI=true.
	helpers := map[string]bool{"internal/storage/fs/mount_linux_test.go": false} // found?
	sourceFiles(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "web/") {
			return
		}
		lines := matchingLines(text, skip)
		if _, ok := helpers[path]; ok {
			helpers[path] = len(lines) == 1 && bytes.Contains(text, []byte(`os.Getenv("CI") == "true"`))
			return
		}
		for _, line := range lines {
			t.Errorf("%s: %q leaves a test out: let it run, or fail with what is missing", path, line)
		}
	})
	for path, found := range helpers {
		if !found {
			t.Errorf("%s is no helper with one skip, and a failure with CI=true: take it off the list in this test", path)
		}
	}
}

// TestNoSkipsFindsSkips proves that the pattern finds what it is for. The calls
// are put together here, or this file would be found itself.
func TestNoSkipsFindsSkips(t *testing.T) {
	for _, call := range []string{"t." + "Skip()", "b." + "Skipf(x)", "tb." + "SkipNow()", "it." + "skip('x')", "describe." + "only(x)"} {
		if !skip.MatchString(call) {
			t.Errorf("%s is not found", call)
		}
	}
	for _, call := range []string{"filepath.SkipDir", "reader.skip(4)", "r.Skipped()"} {
		if skip.MatchString(call) {
			t.Errorf("%s is found", call)
		}
	}
}

// TestNoRegistries: whoever builds uses the registries that their tools are set
// up with; a file that names one's host breaks behind a mirror.
func TestNoRegistries(t *testing.T) {
	var hosts []string
	for _, parts := range [][2]string{
		{"proxy", "golang.org"}, {"sum", "golang.org"}, {"registry", "npmjs.org"}, {"registry", "npmjs.com"},
		{"deb", "debian.org"}, {"security", "debian.org"}, {"registry", "yarnpkg.com"},
	} {
		hosts = append(hosts, parts[0]+"."+parts[1]) // put together, so that this file does not name them
	}
	sourceFiles(t, func(path string, text []byte) {
		for _, host := range hosts {
			if bytes.Contains(text, []byte(host)) {
				t.Errorf("%s names the package registry %s: take it out (npm: omit-lockfile-registry-resolved)", path, host)
			}
		}
	})
}

// matchingLines returns the lines that the pattern matches.
func matchingLines(text []byte, pattern *regexp.Regexp) []string {
	var lines []string
	for line := range bytes.Lines(text) {
		if pattern.Match(line) {
			lines = append(lines, strings.TrimSpace(string(line)))
		}
	}
	return lines
}
