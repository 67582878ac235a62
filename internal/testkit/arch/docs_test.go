package arch

import (
	"fmt"
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

// link matches what a Markdown file links to: a file, a place in it, or both.
var link = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)

// TestLinks: what the documents link to within the project exists, and so do the
// headings that they name.
func TestLinks(t *testing.T) {
	texts := map[string]string{}
	sourceFiles(t, func(path string, text []byte) {
		if filepath.Ext(path) == ".md" {
			texts[path] = string(text)
		}
	})
	for path, text := range texts {
		for _, message := range checkLinks(path, texts) {
			t.Error(message)
		}
		if strings.HasPrefix(path, "docs/design/") || path == document {
			checkNamedTests(t, path, text)
		}
	}
}

// TestLinksFindsBreaches proves that the check above can fail.
func TestLinksFindsBreaches(t *testing.T) {
	texts := map[string]string{
		"docs/a.md": "# A heading, *so* `x.y`\n[b](../README.md#one-two) [c](a.md) [d](#a-heading-so-xy) [e](https://example.org/#x)\n```sh\n# no heading\n```\n",
		"README.md": "## One: two\n## One: two\n[x](#one-two-1)\n",
	}
	for path := range texts {
		if got := checkLinks(path, texts); len(got) > 0 {
			t.Errorf("%s: unexpected %q", path, got)
		}
	}
	for _, bad := range []string{"[b](../README.md#three)", "[d](#no-heading)", "[e](none.md)"} {
		texts["docs/b.md"] = "# B\n" + bad
		if got := checkLinks("docs/b.md", texts); len(got) != 1 {
			t.Errorf("%s: got %q", bad, got)
		}
	}
}

// checkLinks returns a message for every link of a Markdown file that leads nowhere.
func checkLinks(path string, texts map[string]string) (messages []string) {
	for _, match := range link.FindAllStringSubmatch(texts[path], -1) {
		target, anchor := match[1], match[2]
		if strings.Contains(target, ":") { // of another place: https://, mailto:
			continue
		}
		file := path
		if target != "" {
			file = filepath.ToSlash(filepath.Join(filepath.Dir(path), filepath.FromSlash(target)))
		}
		if _, err := os.Stat(filepath.Join(root, file)); err != nil && texts[file] == "" {
			messages = append(messages, fmt.Sprintf("%s links to %s, which does not exist", path, target))
		} else if anchor != "" && filepath.Ext(file) == ".md" && !slices.Contains(anchors(texts[file]), anchor) {
			messages = append(messages, fmt.Sprintf("%s links to #%s of %s, which has no such heading", path, anchor, file))
		}
	}
	return messages
}

// notInAnchors matches what is left out of a heading's anchor.
var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)

// anchors returns the anchors of the headings of a Markdown file, as GitHub makes them.
func anchors(text string) (all []string) {
	count := map[string]int{}
	inBlock := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inBlock = !inBlock
		}
		title := strings.TrimLeft(line, "#")
		if inBlock || title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		anchor := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
		count[anchor]++
		if n := count[anchor]; n > 1 {
			anchor = fmt.Sprintf("%s-%d", anchor, n-1)
		}
		all = append(all, anchor)
	}
	return all
}

// fenced matches a code block.
var fenced = regexp.MustCompile("(?s)```.*?```")

// namedTest matches a test with its package, as documents name it.
var namedTest = regexp.MustCompile(`^[a-z0-9/]+\.(Test|Fuzz)[A-Z]\w*$`)

// checkNamedTests: the tests that a document names exist.
func checkNamedTests(t *testing.T, path, text string) {
	t.Helper()
	for _, span := range codeSpans(fenced.ReplaceAllString(text, "")) {
		if folder, function, _ := strings.Cut(span, "."); namedTest.MatchString(span) && !hasFunction(t, folder, function) {
			t.Errorf("%s names the test %s, which does not exist", path, span)
		}
	}
}
