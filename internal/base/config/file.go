package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// syntaxError adds the file's name and the line to the parser's error.
func syntaxError(file string, err error) error {
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, column := de.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, line, column, strings.TrimPrefix(de.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", file, err)
}

// lineNumbers returns the line of every key, table and array element of a
// document that is known to be valid.
func lineNumbers(text []byte) map[string]int {
	x := &lineIndex{lines: make(map[string]int), tables: make(map[string]int)}
	for i, c := range text {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
	x.p.Reset(text)
	table := ""
	for x.p.NextExpression() {
		switch e := x.p.Expression(); e.Kind {
		case unstable.Table:
			table = x.key("", e)
		case unstable.ArrayTable:
			name := x.key("", e)
			table = fmt.Sprintf("%s[%d]", name, x.tables[name])
			x.tables[name]++
			x.lines[table] = x.last
		case unstable.KeyValue:
			x.keyValue(table, e)
		}
	}
	return x.lines
}

// lineIndex is the state of lineNumbers.
type lineIndex struct {
	p      unstable.Parser
	starts []int          // offset of each line but the first
	lines  map[string]int // from 1
	tables map[string]int // elements seen of each array of tables
	last   int            // line of the node that was noted last
}

// key notes the line of every element of n's dotted key below parent and
// returns the path of the last. A key that goes through an array of tables
// means its last element (TOML 1.0, "Array of Tables").
func (x *lineIndex) key(parent string, n *unstable.Node) string {
	path := parent
	for it := n.Key(); it.Next(); {
		path = joinPath(path, string(it.Node().Data))
		x.note(path, it.Node())
		if count := x.tables[path]; count > 0 && !it.IsLast() {
			path = fmt.Sprintf("%s[%d]", path, count-1)
		}
	}
	return path
}

// note sets the line of path to that of n, unless it is known already.
func (x *lineIndex) note(path string, n *unstable.Node) {
	x.last = 1 + sort.SearchInts(x.starts, int(n.Raw.Offset)+1)
	if _, ok := x.lines[path]; !ok {
		x.lines[path] = x.last
	}
}

func (x *lineIndex) keyValue(table string, n *unstable.Node) {
	x.value(x.key(table, n), n.Value())
}

// value notes the lines of what n contains.
func (x *lineIndex) value(path string, n *unstable.Node) {
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				x.keyValue(path, it.Node())
			}
		}
	case unstable.Array:
		i := 0
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			p := fmt.Sprintf("%s[%d]", path, i)
			if it.Node().Raw.Length > 0 {
				x.note(p, it.Node())
			}
			x.value(p, it.Node())
			i++
		}
	}
}

// bind sets the fields of the struct v from a table of the file.
func (l *loader) bind(v reflect.Value, table map[string]any, path string) {
	names, fields := keys(v)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		p := joinPath(path, key)
		field, ok := fields[key]
		if !ok {
			l.fail(p, "unknown key%s", l.suggestKey(path, key, names))
			continue
		}
		l.set[p] = true
		l.bindValue(field, table[key], p)
	}
}

// bindValue sets v from a value of the file.
func (l *loader) bindValue(v reflect.Value, value any, path string) {
	want := kindOf(v.Type())
	switch x := value.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return
		}
	case int64:
		if want == kindSize {
			v.SetString(strconv.FormatInt(x, 10))
			return
		}
		if v.Kind() == reflect.Int {
			if x < math.MinInt32 || x > math.MaxInt32 {
				l.fail(path, "%d is out of range", x)
				return
			}
			v.SetInt(x)
			return
		}
	case map[string]any:
		if v.Kind() == reflect.Struct {
			l.bind(v, x, path)
			return
		}
	case []any:
		if v.Kind() == reflect.Slice {
			s := reflect.MakeSlice(v.Type(), len(x), len(x))
			for i, e := range x {
				l.bindValue(s.Index(i), e, fmt.Sprintf("%s[%d]", path, i))
			}
			v.Set(s)
			return
		}
	}
	l.fail(path, "want %s, got %s", article(want), article(tomlKind(value)))
}

// tomlKind names the TOML type of a decoded value.
func tomlKind(value any) string {
	switch value.(type) {
	case string:
		return kindString
	case bool:
		return kindBoolean
	case int64:
		return kindInteger
	case float64:
		return "float"
	case map[string]any:
		return kindTable
	case []any:
		return "array"
	}
	return "date or time"
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// suggestKey says what may have been meant by an unknown key of the table at
// path: a key of that table, the same key of another table, or all there are.
func (l *loader) suggestKey(path, key string, siblings []string) string {
	if near, ok := nearest(key, siblings); ok {
		return "; did you mean " + strconv.Quote(near) + "?"
	}
	for _, f := range l.leaves {
		if f.path[len(f.parent()):] == "."+key {
			return "; did you mean " + key + " of [" + f.parent() + "]?"
		}
	}
	sorted := slices.Sorted(slices.Values(siblings))
	if path == "" {
		return "; the tables are [" + strings.Join(sorted, "], [") + "]"
	}
	return "; the keys of [" + path + "] are " + strings.Join(sorted, ", ")
}

// nearest returns the candidate with the smallest edit distance to name, if
// that is small enough for a slip of the finger, or one that name abbreviates.
func nearest(name string, candidates []string) (string, bool) {
	best, distance := "", 1+max(1, len(name)/3)
	for _, c := range candidates {
		if d := editDistance(name, c); d < distance {
			best, distance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && len(name) >= 3 && strings.HasPrefix(c, name) {
			best = c
		}
	}
	return best, best != ""
}

// editDistance is the Levenshtein distance of a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
