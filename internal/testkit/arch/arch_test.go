package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root         = "../../.." // of the module, seen from this package
	document     = "ARCHITECTURE.md"
	dependencies = "docs/design/dependencies.md"
	importsOf    = "docs/design/packages.md" // what each package may import
	module       = "github.com/live777/recorder/"
)

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string // of its files but tests
}

// TestImports holds the import table of docs/design/packages.md against the code,
// in the build with the recorder and in the one without.
func TestImports(t *testing.T) {
	for _, message := range checkImports(importTable(t), listPackages(t)) {
		t.Error(message)
	}
}

// TestImportsFindsBreaches proves that the check above can fail.
func TestImportsFindsBreaches(t *testing.T) {
	table := map[string][]string{
		"media": nil,
		"live":  {"media", "pion/rtp", "golang.org/x/sync"},
		"gone":  nil,
	}
	tests := []struct {
		name     string
		packages map[string]goPackage
		want     string // part of the only message; "" for none
	}{
		{"allowed", packagesOf("media", "fmt", "live", module+"internal/media", "live", "github.com/pion/rtp/codecs",
			"live", "golang.org/x/sync/errgroup", "gone", "os"), ""},
		{"internal import", packagesOf("media", module+"internal/ingest/live", "live", "fmt", "gone", "fmt"), `add "live" to its row`},
		{"third party", packagesOf("media", "github.com/pion/rtp", "live", "fmt", "gone", "fmt"), `media imports github.com/pion/rtp`},
		{"name is no prefix", packagesOf("media", "fmt", "live", "github.com/pion/rtpx", "gone", "fmt"), "github.com/pion/rtpx"},
		{"no row", packagesOf("media", "fmt", "live", "fmt", "gone", "fmt", "new", "fmt"), `package new has no row`},
		{"no package", packagesOf("media", "fmt", "live", "fmt"), `row of gone names no package`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkImports(table, test.packages)
			if test.want == "" {
				if len(got) > 0 {
					t.Fatalf("unexpected: %q", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Fatalf("got %q, want one message with %q", got, test.want)
			}
		})
	}
}

// packagesOf builds packages from pairs of a package's name and one import.
func packagesOf(pairs ...string) map[string]goPackage {
	packages := map[string]goPackage{}
	for i := 0; i < len(pairs); i += 2 {
		p := packages[pairs[i]]
		p.Imports = append(p.Imports, pairs[i+1])
		packages[pairs[i]] = p
	}
	return packages
}

// checkImports returns a message for every difference between the table (names
// that each package may import) and the packages.
func checkImports(table map[string][]string, packages map[string]goPackage) []string {
	var messages []string
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		allowed, ok := table[name]
		if !ok {
			messages = append(messages, fmt.Sprintf(
				"package %s has no row in the import table of %s: add one with what it may import", name, importsOf))
			continue
		}
		for _, imported := range packages[name].Imports {
			if entry, ok := allowedImport(table, allowed, imported); !ok {
				messages = append(messages, fmt.Sprintf(
					"%s imports %s, which the import table of %s does not allow: take the import out, or add %q to its row if the design has changed",
					name, imported, importsOf, entry))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, ok := packages[name]; !ok {
			messages = append(messages, fmt.Sprintf(
				"the row of %s names no package: take it out of the import table of %s", name, importsOf))
		}
	}
	return messages
}

// allowedImport reports whether one of the names in allowed permits the import
// path, and the name that would. A name is that of a package with a row in the
// table, or a module path, in which github.com/ is left out.
func allowedImport(table map[string][]string, allowed []string, path string) (name string, ok bool) {
	if strings.HasPrefix(path, module) {
		name = shortName(path)
		return name, slices.Contains(allowed, name)
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return "", true // the standard library
	}
	name = strings.TrimPrefix(path, "github.com/")
	for _, entry := range allowed {
		if _, internal := table[entry]; !internal && (name == entry || strings.HasPrefix(name, entry+"/")) {
			return name, true
		}
	}
	return name, false
}

// floorFolders are the folders below internal/ that hold the packages of a floor. Two of
// them are packages too.
var floorFolders = []string{"base", "media", "ingest", "storage", "record", "library", "serve", "testkit"}

// shortName is the name under which the documents have a package: its path below its
// floor's folder in internal/, or else below the root.
func shortName(importPath string) string {
	path := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
	if first, rest, found := strings.Cut(path, "/"); found && slices.Contains(floorFolders, first) {
		return rest
	}
	return path
}

// folderOf returns the folder of a package by its short name, seen from this package.
func folderOf(name string) string {
	for _, floor := range append([]string{""}, floorFolders...) {
		folder := filepath.Join(root, "internal", floor, name)
		if files, _ := filepath.Glob(filepath.Join(folder, "*.go")); len(files) > 0 {
			return folder
		}
	}
	return filepath.Join(root, name)
}

// listPackages returns the module's packages by their short names. Imports are
// those of all builds.
func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	packages := map[string]goPackage{}
	for _, tags := range []string{"", "norecorder"} {
		out := run(t, "go", "list", "-e", "-tags", tags, "-json=ImportPath,Doc,GoFiles,Imports", "./...")
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p goPackage
			err := decoder.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("decode the output of go list: %v", err)
			}
			name := shortName(p.ImportPath)
			p.Imports = append(p.Imports, packages[name].Imports...)
			p.GoFiles = append(p.GoFiles, packages[name].GoFiles...)
			slices.Sort(p.Imports)
			p.Imports = slices.Compact(p.Imports)
			packages[name] = p
		}
	}
	return packages
}

// run returns the standard output of a program that is run in the root.
func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// importTable returns what each package may import by docs/design/packages.md.
func importTable(t *testing.T) map[string][]string {
	t.Helper()
	table := map[string][]string{}
	for _, row := range tableRows(t, importsOf, "## Imports", 2) {
		names := codeSpans(row[0])
		if len(names) != 1 {
			t.Fatalf("%s: the row %q has to start with one package in backquotes", importsOf, row)
		}
		if _, twice := table[names[0]]; twice {
			t.Errorf("%s: package %s has two rows", importsOf, names[0])
		}
		table[names[0]] = codeSpans(row[1])
	}
	return table
}

// TestDependencies holds the table of docs/design/dependencies.md against go.mod,
// the packages of npm and what the clients in Python require.
func TestDependencies(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range tableRows(t, dependencies, "## Table", 3) {
		for _, name := range codeSpans(row[0]) {
			documented[name] = true
		}
		if strings.TrimSpace(row[1]) == "" || strings.TrimSpace(row[2]) == "" {
			t.Errorf("%s: the dependency %s has no licence or no reason", dependencies, row[0])
		}
	}
	required := requirements(t)
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if !documented[name] {
			t.Errorf("%s requires %s: add it to the dependency table of %s, with its licence and why it is there", required[name], name, dependencies)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if _, ok := required[name]; !ok {
			t.Errorf("nothing requires %s: take it out of the dependency table of %s", name, dependencies)
		}
	}
}

// requirements returns the direct dependencies by name, each with the file that
// requires it.
func requirements(t *testing.T) map[string]string {
	t.Helper()
	required := map[string]string{}
	modules, err := filepath.Glob(filepath.Join(root, "tools", "*", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(modules, filepath.Join(root, "go.mod"), filepath.Join(root, "tools", "go.mod")) {
		var mod struct {
			Require []struct {
				Path     string
				Indirect bool
			}
			Tool []struct{ Path string }
		}
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		unmarshal(t, run(t, "go", "mod", "edit", "-json", file), &mod)
		for _, r := range mod.Require {
			if !r.Indirect {
				required[r.Path] = file
			}
		}
		for _, tool := range mod.Tool {
			name, _, _ := strings.Cut(tool.Path, "/cmd/")
			required[name] = file
		}
	}
	for _, manifest := range []string{"web/package.json", "docs/site/package.json"} {
		var npm struct{ Dependencies, DevDependencies map[string]string }
		unmarshal(t, []byte(read(t, manifest)), &npm)
		for _, list := range []map[string]string{npm.Dependencies, npm.DevDependencies} {
			for name := range list {
				required[name] = manifest
			}
		}
	}
	const python = "internal/testkit/e2e/clients/requirements.in"
	for line := range strings.Lines(read(t, python)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			required[name] = python
		}
	}
	return required
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("decode %.100s: %v", data, err)
	}
}

// TestInvariants proves that the tests which ARCHITECTURE.md names for its
// invariants exist.
func TestInvariants(t *testing.T) {
	for _, row := range tableRows(t, document, "## Invariants", 3) {
		for _, name := range codeSpans(row[2]) {
			folder, function, _ := strings.Cut(name, ".")
			if !hasFunction(t, folder, function) {
				t.Errorf("%s: invariant %s is held by %s, but no test file below %s has this function",
					document, row[0], name, folderOf(folder))
			}
		}
	}
}

func hasFunction(t *testing.T, folder, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folderOf(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte("func "+function+"("))
	})
}

// tableRows returns the cells of the table below a heading of a Markdown file,
// without its two head rows. Every row has to have n cells.
func tableRows(t *testing.T, file, heading string, n int) [][]string {
	t.Helper()
	_, section, found := strings.Cut(read(t, file), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") {
			continue
		}
		cells := splitCells(line)
		if len(cells) != n {
			t.Fatalf("%s, %q: row %q has %d cells, want %d", file, heading, line, len(cells), n)
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("%s, %q: no table", file, heading)
	}
	return rows[2:]
}

// splitCells splits a table row at its bars; \| is a bar within a cell.
func splitCells(line string) []string {
	const bar = "\x00"
	line = strings.Trim(strings.ReplaceAll(line, `\|`, bar), "|")
	cells := strings.Split(line, "|")
	for i, cell := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(cell, bar, "|"))
	}
	return cells
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// codeSpans returns what stands in backquotes.
func codeSpans(text string) []string {
	var spans []string
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		spans = append(spans, match[1])
	}
	return spans
}

// read returns the text of a file of the root.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
