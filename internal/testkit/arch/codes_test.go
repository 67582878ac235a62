package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
)

// serverTexts is what the page says in Chinese in place of the server. English is what the
// server says itself.
const serverTexts = "web/src/texts/server.zh.ts"

// TestCodesHaveTexts: the page has a text for each code that the server can answer, and no
// others; what a text names is told wherever the code is.
func TestCodesHaveTexts(t *testing.T) {
	codes := serverCodes(t)
	texts := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  (\w+): '(.*)',$`).FindAllStringSubmatch(read(t, serverTexts), -1) {
		texts[m[1]] = m[2]
	}
	for code, told := range codes {
		text, ok := texts[code]
		if !ok {
			t.Errorf("%s has no text for the code %q", serverTexts, code)
		}
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
			for _, params := range told {
				if m[1] != "error" && !slices.Contains(params, m[1]) {
					t.Errorf("%s: the text for %q names {%s}, which is not told everywhere: %v", serverTexts, code, m[1], params)
				}
			}
		}
	}
	for code := range texts {
		if codes[code] == nil {
			t.Errorf("%s has a text for %q, which nothing answers", serverTexts, code)
		}
	}
}

// serverCodes returns, for each code, the parameters at each place that tells it: those of
// the kinds, those of fault's Coded, and those that are written as the field Code.
func serverCodes(t *testing.T) map[string][][]string {
	t.Helper()
	codes := map[string][][]string{}
	for k := fault.Internal; k <= fault.TooMany; k++ {
		codes[k.Code()] = [][]string{{}}
	}
	sourceFiles(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || !strings.Contains(path, "internal/") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if code, params, ok := codeAt(n); ok {
				codes[code] = append(codes[code], params)
			}
			return true
		})
	})
	return codes
}

// codeAt returns the code that n tells, if it tells one.
func codeAt(n ast.Node) (code string, params []string, ok bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		method, isMethod := n.Fun.(*ast.SelectorExpr)
		if !isMethod || method.Sel.Name != "Coded" {
			return "", nil, false
		}
		for _, arg := range n.Args[1:] {
			if name, isText := textOf(arg); isText {
				params = append(params, name)
			}
		}
		if inner, isCall := method.X.(*ast.CallExpr); isCall {
			if of, isMethod := inner.Fun.(*ast.SelectorExpr); isMethod && of.Sel.Name == "Waitf" {
				params = append(params, "seconds")
			}
		}
		code, ok = textOf(n.Args[0])
	case *ast.KeyValueExpr:
		if name, isName := n.Key.(*ast.Ident); isName && name.Name == "Code" {
			code, ok = textOf(n.Value)
		}
	}
	return code, params, ok
}

// textOf returns the value of a literal string.
func textOf(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
