// Package migrate turns configurations of the original live777 and its liveman into ones of
// these programs, and says of each key what became of it.
package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/live777/recorder/internal/base/config"
)

// Outcome is what became of a key.
type Outcome string

// The outcomes. With the last three there is something left for a person to do.
const (
	Taken        Outcome = "taken over"
	Renamed      Outcome = "renamed"
	NotNeeded    Outcome = "not needed"
	Replaced     Outcome = "replaced"
	NotSupported Outcome = "not supported"
	Unknown      Outcome = "unknown"
)

// Line says what became of one key of the original file. It shows no secret.
type Line struct {
	Key     string
	Outcome Outcome
	Note    string
}

// String returns the line for a person.
func (l Line) String() string {
	text := l.Key + ": " + string(l.Outcome)
	if l.Note != "" {
		text += ": " + l.Note
	}
	return text
}

// Open reports whether a person has something to do about the key.
func (l Line) Open() bool {
	return l.Outcome == Replaced || l.Outcome == NotSupported || l.Outcome == Unknown
}

// Result is a configuration of this program and how it was made.
type Result struct {
	TOML  []byte
	Lines []Line
	// Problem is why the configuration does not load as it is, which is the fault of values
	// that would have to be other ones here; nil: it loads.
	Problem error
}

// Node turns the text of an original live777.toml into one of live777.
func Node(text []byte) (Result, error) { return run(text, node(), config.Check) }

// Manager turns the text of an original liveman.toml into one of liveman.
func Manager(text []byte) (Result, error) { return run(text, manager(), config.CheckLiveman) }

// rules say what becomes of keys.
type rules struct {
	keys map[string]rule
	// below has the rule of everything below a table.
	below map[string]rule
	// end makes what does not come from a key.
	end func(*migration)
}

// rule says what becomes of the key at a path.
type rule func(m *migration, path string, value any)

// migration is one configuration while it is turned into another.
type migration struct {
	rules rules
	out   map[string]any
	seen  map[string]bool // keys of the file
	lines []Line
}

func run(text []byte, r rules, check func([]byte) error) (Result, error) {
	var doc map[string]any
	if err := toml.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &doc); err != nil {
		return Result{}, syntaxError(err)
	}
	m := &migration{rules: r, out: map[string]any{}, seen: map[string]bool{}}
	m.table("", doc)
	r.end(m)
	var b bytes.Buffer
	b.WriteString("# Made of a configuration of the original live777. What became of its keys stands at the end.\n\n")
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	if err := e.Encode(m.out); err != nil {
		return Result{}, fmt.Errorf("write the configuration: %w", err)
	}
	b.WriteString("\n")
	for _, l := range m.lines {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(l.String(), "\n", " "))
	}
	return Result{TOML: b.Bytes(), Lines: m.lines, Problem: check(b.Bytes())}, nil
}

// syntaxError says where the file is no TOML.
func syntaxError(err error) error {
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		return err
	}
	line, column := de.Position()
	return fmt.Errorf("line %d, column %d: %s", line, column, strings.TrimPrefix(de.Error(), "toml: "))
}

// table applies the rules to the keys of a table.
func (m *migration) table(path string, table map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := join(path, key)
		m.seen[at] = true
		value := table[key]
		if do, ok := m.rules.keys[at]; ok {
			do(m, at, value)
			continue
		}
		if do, ok := m.rules.below[at]; ok {
			m.leaves(at, value, do)
			continue
		}
		m.leaves(at, value, nil)
	}
}

// leaves applies one rule to each key below a path; without one, those of the table.
func (m *migration) leaves(path string, value any, do rule) {
	switch x := value.(type) {
	case map[string]any:
		if do == nil {
			m.table(path, x)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(x)) {
			m.leaves(join(path, key), x[key], do)
		}
		return
	case []any:
		if tables := tablesOf(x); len(tables) > 0 {
			for i, t := range tables {
				m.leaves(fmt.Sprintf("%s[%d]", path, i), t, orUnknown(do))
			}
			return
		}
	}
	orUnknown(do)(m, path, value)
}

func orUnknown(do rule) rule {
	if do != nil {
		return do
	}
	return unknown
}

func unknown(m *migration, path string, _ any) {
	m.say(path, Unknown, "no version of live777 up to 0.9 has it; it is left out")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (m *migration) say(path string, o Outcome, format string, args ...any) {
	m.lines = append(m.lines, Line{path, o, fmt.Sprintf(format, args...)})
}

// set writes a key of the new file.
func (m *migration) set(path string, value any) {
	table := m.out
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		next, _ := table[name].(map[string]any)
		if next == nil {
			next = map[string]any{}
			table[name] = next
		}
		table = next
	}
	table[names[len(names)-1]] = value
}

// get returns what stands at a path of the new file; nil if nothing does.
func (m *migration) get(path string) any {
	var value any = m.out
	for name := range strings.SplitSeq(path, ".") {
		table, _ := value.(map[string]any)
		value = table[name]
	}
	return value
}

// add writes one more table into an array of tables.
func (m *migration) add(path string, table map[string]any) {
	list, _ := m.get(path).([]any)
	m.set(path, append(list, table))
}

// move takes a value over under another name, or under its own.
func (m *migration) move(path, to string, value any, note string) {
	m.set(to, value)
	switch {
	case path == to && note == "":
		m.say(path, Taken, "")
	case path == to:
		m.say(path, Taken, "%s", note)
	case note == "":
		m.say(path, Renamed, "%s", to)
	default:
		m.say(path, Renamed, "%s: %s", to, note)
	}
}

// The plainest rules.

func moved(to string) rule {
	return func(m *migration, path string, value any) { m.move(path, to, value, "") }
}

func notNeeded(note string) rule {
	return func(m *migration, path string, _ any) { m.say(path, NotNeeded, "%s", note) }
}

func notSupported(note string) rule {
	return func(m *migration, path string, _ any) { m.say(path, NotSupported, "%s", note) }
}

// unless is notSupported, and notNeeded where the value is what this program does anyway.
func unless(usual any, needless, note string) rule {
	return func(m *migration, path string, value any) {
		if value == usual {
			m.say(path, NotNeeded, "%s", needless)
			return
		}
		m.say(path, NotSupported, "%s", note)
	}
}

// tablesOf returns the elements of a list of tables; none of another list.
func tablesOf(value any) []map[string]any {
	list, _ := value.([]any)
	var tables []map[string]any
	for _, e := range list {
		if t, ok := e.(map[string]any); ok {
			tables = append(tables, t)
		}
	}
	return tables
}

// stringsOf returns the strings of a list, empty ones left out.
func stringsOf(value any) []string {
	list, _ := value.([]any)
	texts := []string{}
	for _, e := range list {
		if s, ok := e.(string); ok && s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

// text returns a string of a table; empty where there is none.
func text(table map[string]any, key string) string {
	s, _ := table[key].(string)
	return s
}

// others names the keys of a table that are none of the known ones.
func (m *migration) others(path string, table map[string]any, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(known, key) {
			unknown(m, join(path, key), nil)
		}
	}
}
