package arch

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const limits = "docs/design/limits.md"

// TestLimits holds the bounds of docs/design/limits.md against the constants of the
// code, and against the tests that are there.
func TestLimits(t *testing.T) {
	packages := map[string]map[string]constant.Value{}
	rows := map[string]string{}
	for _, row := range tableRows(t, limits, "## Bounds", 5) {
		names := codeSpans(row[2])
		if len(names) == 0 {
			t.Errorf("%s: %q names no constant", limits, row[0])
		}
		for _, name := range names {
			if rows[name] != "" {
				t.Errorf("%s: %s stands in two rows, %q and %q", limits, name, rows[name], row[0])
			}
			rows[name] = row[0]
			i := strings.LastIndex(name, ".")
			if i < 0 {
				t.Fatalf("%s: %q is no constant of a package", limits, name)
			}
			folder := name[:i]
			if packages[folder] == nil {
				packages[folder] = constants(t, folder)
			}
			value, ok := packages[folder][name[i+1:]]
			if !ok {
				t.Errorf("%s: %q: there is no constant %s", limits, row[0], name)
				continue
			}
			if !slices.ContainsFunc(spellings(value), func(s string) bool { return hasWord(row[1], s) }) {
				t.Errorf("%s: %q: %s is %v, as one of %q, and the bound says %q", limits, row[0], name, value, spellings(value), row[1])
			}
		}
		tests := codeSpans(row[4])
		if len(tests) == 0 {
			t.Errorf("%s: %q names no test", limits, row[0])
		}
		for _, name := range tests {
			i := strings.LastIndex(name, ".")
			if i < 0 || !hasFunction(t, name[:i], name[i+1:]) {
				t.Errorf("%s: %q: there is no test %s", limits, row[0], name)
			}
		}
	}
}

// TestSpellings proves that the test above can fail.
func TestSpellings(t *testing.T) {
	for text, value := range map[string]int64{"at 1,000 a day": 1000, "64 KiB": 64 << 10, "8": 8, "5 s": int64(5 * time.Second), "10; 8 MiB": 8 << 20} {
		if !slices.ContainsFunc(spellings(constant.MakeInt64(value)), func(s string) bool { return hasWord(text, s) }) {
			t.Errorf("%d is not found in %q", value, text)
		}
	}
	for text, value := range map[string]int64{"1,000": 100, "18": 8, "64 KiB": 64, "8,100": 8, "15 s": int64(5 * time.Second)} {
		if slices.ContainsFunc(spellings(constant.MakeInt64(value)), func(s string) bool { return hasWord(text, s) }) {
			t.Errorf("%d is found in %q", value, text)
		}
	}
}

// hasWord reports whether a number stands in a text, and not as a part of another.
func hasWord(text, number string) bool {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '(' || r == ')' }) {
		words := strings.Fields(part)
		want := strings.Fields(number)
		for i := range words {
			if i+len(want) > len(words) || !slices.Equal(trimmed(words[i:i+len(want)]), want) {
				continue
			}
			if next := i + len(want); len(want) > 1 || next == len(words) || !slices.Contains([]string{"KiB", "MiB", "GiB", "s", "min", "ms"}, trimmed(words)[next]) {
				return true
			}
		}
	}
	return false
}

func trimmed(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.Trim(w, ".,:")
	}
	return out
}

// spellings returns how a value may be written: as a number, as bytes, as a time.
func spellings(v constant.Value) []string {
	n, _ := constant.Int64Val(constant.ToInt(v))
	out := []string{grouped(n)}
	for _, u := range []struct {
		size int64
		name string
	}{
		{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"},
		{int64(time.Hour), "h"}, {int64(time.Minute), "min"}, {int64(time.Second), "s"}, {int64(time.Millisecond), "ms"},
	} {
		if n >= u.size && n%u.size == 0 {
			out = append(out, grouped(n/u.size)+" "+u.name)
		}
	}
	return out
}

// grouped writes 12,345.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// constants returns the constants of a package that are numbers or times.
func constants(t *testing.T, folder string) map[string]constant.Value {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folderOf(folder), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s names the package %q: %v", limits, folder, err)
	}
	exprs := map[string]ast.Expr{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.CONST {
				for _, spec := range g.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
						for i, name := range v.Names {
							exprs[name.Name] = v.Values[i]
						}
					}
				}
			}
		}
	}
	values := map[string]constant.Value{}
	for name, e := range exprs {
		if v := evaluate(e, exprs); v != nil && v.Kind() != constant.Unknown {
			values[name] = v
		}
	}
	return values
}

// evaluate returns the value of an expression of numbers and times, nil for another.
func evaluate(e ast.Expr, others map[string]ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.INT {
			return constant.MakeFromLiteral(e.Value, e.Kind, 0)
		}
	case *ast.ParenExpr:
		return evaluate(e.X, others)
	case *ast.Ident:
		if other, ok := others[e.Name]; ok {
			return evaluate(other, others)
		}
	case *ast.SelectorExpr:
		units := map[string]time.Duration{"Hour": time.Hour, "Minute": time.Minute, "Second": time.Second, "Millisecond": time.Millisecond}
		if d, ok := units[e.Sel.Name]; ok {
			return constant.MakeInt64(int64(d))
		}
	case *ast.BinaryExpr:
		x, y := evaluate(e.X, others), evaluate(e.Y, others)
		if x == nil || y == nil {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		if e.Op == token.QUO {
			return constant.BinaryOp(x, token.QUO_ASSIGN, y) // of whole numbers
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return nil
}
