package arch

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxStartPage is how many lines ARCHITECTURE.md may have: a newcomer reads it whole.
const maxStartPage = 200

// toolsFloor is the last floor of ARCHITECTURE.md: what tests use, and what is no part
// of the programs.
const toolsFloor = "Tools"

// floor is a section of the list of packages in ARCHITECTURE.md.
type floor struct {
	name     string
	folders  []string // the first element of its packages' paths, below internal/ or the root
	packages []string
}

// TestStartPage: ARCHITECTURE.md can be read in one go.
func TestStartPage(t *testing.T) {
	if n := strings.Count(read(t, document), "\n"); n > maxStartPage {
		t.Errorf("%s has %d lines, more than %d: move what is not for newcomers to docs/design", document, n, maxStartPage)
	}
}

// TestFloors: ARCHITECTURE.md names every package once, and a package imports only
// from its own floor and those before it.
func TestFloors(t *testing.T) {
	for _, message := range checkFloors(parseFloors(read(t, document)), listPackages(t)) {
		t.Error(message)
	}
}

// TestFloorsFindsBreaches proves that the check above can fail.
func TestFloorsFindsBreaches(t *testing.T) {
	const text = "# Title\n## Packages\nWords.\n### Ground: `base/`, `media/`\nWords with `code`.\n- `media`: nouns\n### Ingest: `ingest/`\n- `live`: streams\n### Tools: `testkit/`\n- `load`: tests\n%s## Next\n- `not`: this\n"
	internal := module + "internal/"
	paths := map[string]string{"media": "media", "live": "ingest/live", "load": "testkit/load", "livetest": "ingest/livetest", "store": "record/store"}
	tests := []struct {
		name     string
		packages map[string]goPackage
		want     string // part of the only message; "" for none
	}{
		{"allowed", packagesOf("media", "fmt", "live", internal+"media", "load", internal+"live"), ""},
		{"upwards", packagesOf("media", internal+"live", "live", "fmt", "load", "fmt"), "media imports live"},
		{"missing", packagesOf("media", "fmt", "live", "fmt", "load", "fmt", "new", "fmt"), "package new"},
		{"gone", packagesOf("media", "fmt", "live", "fmt"), "there is no package load"},
		{"elsewhere", packagesOf("media", "fmt", "live", "fmt", "load", "fmt", "store", "fmt"), "store is in record/store"},
		{"suite beside its contract", packagesOf("media", "fmt", "live", "fmt", "load", "fmt", "livetest", "fmt"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			more := ""
			for _, name := range []string{"store", "livetest"} {
				if _, ok := test.packages[name]; ok {
					more += "- `" + name + "`: more\n"
				}
			}
			for name, p := range test.packages {
				p.ImportPath = internal + paths[name]
				test.packages[name] = p
			}
			got := checkFloors(parseFloors(fmt.Sprintf(text, more)), test.packages)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want one message with %q", got, test.want)
			}
		})
	}
}

// item matches a package in a list, with what it is for.
var item = regexp.MustCompile("^- `([^`]+)`: .")

// parseFloors returns the floors of ARCHITECTURE.md, in their order.
func parseFloors(text string) (floors []floor) {
	_, section, _ := strings.Cut(text, "\n## Packages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if name, ok := strings.CutPrefix(line, "### "); ok {
			name, folders, _ := strings.Cut(strings.TrimSpace(name), ": ")
			floors = append(floors, floor{name: name, folders: codeSpans(folders)})
		} else if match := item.FindStringSubmatch(line); match != nil && len(floors) > 0 {
			last := &floors[len(floors)-1]
			last.packages = append(last.packages, match[1])
		}
	}
	return floors
}

// checkFloors returns a message for every difference between the floors and the
// packages.
func checkFloors(floors []floor, packages map[string]goPackage) (messages []string) {
	place := map[string]int{}
	for i, f := range floors {
		for _, name := range f.packages {
			if _, twice := place[name]; twice {
				messages = append(messages, fmt.Sprintf("%s names %s twice", document, name))
			}
			place[name] = i
			if _, ok := packages[name]; !ok {
				messages = append(messages, fmt.Sprintf("%s: there is no package %s", document, name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		at, ok := place[name]
		if !ok {
			messages = append(messages, fmt.Sprintf("%s does not name package %s: put it on its floor, with a line on what it is for", document, name))
			continue
		}
		if message := checkFolder(name, packages[name].ImportPath, floors[at]); message != "" {
			messages = append(messages, message)
		}
		for _, path := range packages[name].Imports {
			imported := shortName(path)
			if !strings.HasPrefix(path, module) || floors[at].name == toolsFloor {
				continue
			}
			if to, ok := place[imported]; ok && to > at {
				messages = append(messages, fmt.Sprintf("%s imports %s, which is on the later floor %q of %s", name, imported, floors[to].name, document))
			}
		}
	}
	return messages
}

// checkFolder returns a message if a package is not in a folder of its floor. A test tool
// may stand beside the package that it is for.
func checkFolder(name, importPath string, f floor) string {
	path := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "internal/")
	first, _, _ := strings.Cut(path, "/")
	if slices.Contains(f.folders, first+"/") || f.name == toolsFloor && strings.HasSuffix(name, "test") {
		return ""
	}
	return fmt.Sprintf("%s is in %s, and the floor %q of %s is in %q: move the package or its line", name, path, f.name, document, f.folders)
}
