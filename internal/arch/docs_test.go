package arch

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	readme        = "README.md"
	readmeChinese = "README.zh-CN.md"
	apiDocument   = "docs/api.md"
	address       = "http://127.0.0.1:7777" // where a node listens by default
)

// codeBlock is a fenced block of a Markdown file.
type codeBlock struct{ language, text string }

// parseMarkdown returns the headings' levels and the code blocks of a file.
func parseMarkdown(text string) (levels []int, blocks []codeBlock) {
	var block *codeBlock
	for line := range strings.Lines(text) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && block == nil:
			block = &codeBlock{language: fence}
		case isFence:
			blocks = append(blocks, *block)
			block = nil
		case block != nil:
			block.text += line
		case strings.HasPrefix(line, "#"):
			levels = append(levels, len(line)-len(strings.TrimLeft(line, "#")))
		}
	}
	return levels, blocks
}

// comment matches a comment of a shell command or a TOML file, with what is
// before it.
var comment = regexp.MustCompile(`(?m)(^|[ \t]+)#.*$`)

func (b codeBlock) withoutComments() codeBlock {
	return codeBlock{b.language, comment.ReplaceAllString(b.text, "")}
}

// TestReadmesAgree: the two languages have the same sections and the same code,
// with comments of their own.
func TestReadmesAgree(t *testing.T) {
	levels, blocks := parseMarkdown(read(t, readme))
	levelsChinese, blocksChinese := parseMarkdown(read(t, readmeChinese))
	if !slices.Equal(levels, levelsChinese) {
		t.Errorf("the headings differ: %s has the levels %v, %s has %v", readme, levels, readmeChinese, levelsChinese)
	}
	if len(blocks) == 0 || len(blocks) != len(blocksChinese) {
		t.Fatalf("%s has %d code blocks, %s has %d", readme, len(blocks), readmeChinese, len(blocksChinese))
	}
	for i, block := range blocks {
		chinese := blocksChinese[i]
		if block.withoutComments() != chinese.withoutComments() {
			t.Errorf("code block %d differs:\n%s:\n%s\n%s:\n%s", i+1, readme, block.text, readmeChinese, chinese.text)
		}
		for _, c := range comment.FindAllString(chinese.text, -1) {
			if slices.Contains(comment.FindAllString(block.text, -1), c) {
				t.Errorf("%s: the comment %q is not translated", readmeChinese, strings.TrimSpace(c))
			}
		}
	}
}

// TestReadmeCommands: what the README asks of the server with curl is in the API.
func TestReadmeCommands(t *testing.T) {
	routes := apiRoutes(t)
	_, blocks := parseMarkdown(read(t, readme))
	found := 0
	for _, block := range blocks {
		if block.language != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(block.text, "\\\n", " ")) {
			method, path, ok := curlRequest(line)
			if !ok {
				continue
			}
			found++
			if !slices.ContainsFunc(routes, func(r route) bool { return r.matches(method, path) }) {
				t.Errorf("%s: %q asks for %s %s, which %s does not have", readme, strings.TrimSpace(line), method, path, apiDocument)
			}
		}
	}
	if found == 0 {
		t.Errorf("%s has no curl command for %s", readme, address)
	}
}

func TestCurlRequest(t *testing.T) {
	tests := []struct{ line, method, path string }{
		{"curl -X POST " + address + "/api/record/camera", "POST", "/api/record/camera"},
		{"curl -fsS '" + address + "/api/playback/camera?limit=1'", "GET", "/api/playback/camera"},
		{"curl --request DELETE " + address + "/api/record/camera", "DELETE", "/api/record/camera"},
		{"curl -I " + address + "/api/info", "HEAD", "/api/info"},
		{"curl -d '{}' " + address + "/api/record/camera", "POST", "/api/record/camera"},
		{"curl " + address, "GET", "/"},
		{"ffplay " + address + "/x", "", ""},
		{"curl https://example.org/", "", ""},
	}
	for _, test := range tests {
		method, path, ok := curlRequest(test.line)
		if method != test.method || path != test.path || ok != (test.method != "") {
			t.Errorf("%s: got %q %q %v", test.line, method, path, ok)
		}
	}
}

// curlRequest returns the method and the path of a curl command for a node at
// the default address.
func curlRequest(line string) (method, path string, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "curl" {
		return "", "", false
	}
	method = "GET"
	for i, word := range words {
		word = strings.Trim(word, `'"`)
		switch {
		case (word == "-X" || word == "--request") && i+1 < len(words):
			method = words[i+1]
		case (word == "-d" || strings.HasPrefix(word, "--data")) && method == "GET":
			method = "POST"
		case word == "-I" || word == "--head":
			method = "HEAD"
		case word == address || strings.HasPrefix(word, address+"/"):
			u, err := url.Parse(word)
			if err != nil {
				return "", "", false
			}
			path = "/" + strings.TrimPrefix(u.Path, "/")
		}
	}
	if path == "" {
		return "", "", false
	}
	return method, path, true
}

// route is a row of the API's table.
type route struct {
	methods []string
	pattern []string // the path's elements; {x} is any one, {x...} is the rest
}

func (r route) matches(method, path string) bool {
	if !slices.Contains(r.methods, method) {
		return false
	}
	elements := strings.Split(path, "/")
	for i, want := range r.pattern {
		if strings.HasSuffix(want, "...}") {
			return len(elements) > i && elements[i] != ""
		}
		if i >= len(elements) || elements[i] != want && (!strings.HasPrefix(want, "{") || elements[i] == "") {
			return false
		}
	}
	return len(elements) == len(r.pattern)
}

// apiRoutes reads the routes from the table of docs/api.md. A path without a
// method has those of the path before it.
func apiRoutes(t *testing.T) []route {
	t.Helper()
	var routes []route
	for line := range strings.Lines(read(t, apiDocument)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		var methods []string
		for _, span := range codeSpans(splitCells(strings.TrimSpace(line))[0]) {
			path := span
			if before, after, found := strings.Cut(span, " "); found {
				methods, path = strings.Split(before, "|"), after
			}
			routes = append(routes, route{methods, strings.Split(path, "/")})
		}
	}
	if len(routes) == 0 {
		t.Fatalf("%s has no routes", apiDocument)
	}
	return routes
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

// TestLinks: what the documents link to within the project exists.
func TestLinks(t *testing.T) {
	sourceFiles(t, func(path string, text []byte) {
		if filepath.Ext(path) != ".md" {
			return
		}
		for _, match := range link.FindAllSubmatch(text, -1) {
			target := string(match[1])
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, target)
			}
		}
	})
}
