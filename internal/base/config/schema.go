package config

import (
	"reflect"
	"strings"
)

// program is what differs between the programs that have a configuration.
type program struct {
	name      string
	envPrefix string // begins the variables that set keys: LIVE777_HTTP_LISTEN
	// tags are put before those of the field at a path, and win over them.
	tags map[string]reflect.StructTag
}

var live777 = &program{name: "live777", envPrefix: "LIVE777_"}

// leaves is the function leaves with the program's tags.
func (p *program) leaves(v reflect.Value) []leaf {
	all := leaves(v, "")
	for i, f := range all {
		if tag, ok := p.tags[f.path]; ok {
			all[i].tag = tag + " " + f.tag
		}
	}
	return all
}

// The tags of a configuration field:
//
//	toml      the key
//	default   its default, in the syntax of environment variables
//	derived   says in words where the default comes from when it depends on
//	          other keys (derive in load.go sets it)
//	oneof     the allowed values, separated by |
//	min, max  the allowed range of a number
//	for       the storage types that have the key, where not all have
//	reload    "yes" where a program that runs can take a change over
//	required  the storage types that need it
type leaf struct {
	path  string // "recorder.storage.root"
	value reflect.Value
	tag   reflect.StructTag
}

// env returns the name of the environment variable that sets the key, or ""
// for an array of tables, which only the file can hold.
func (l leaf) env(prefix string) string {
	if l.kind() == kindTables {
		return ""
	}
	return prefix + strings.ToUpper(strings.ReplaceAll(l.path, ".", "_"))
}

// parent returns the table of the key.
func (l leaf) parent() string { return parentPath(l.path) }

// kind returns the type of the key's value as a person would name it.
func (l leaf) kind() string { return kindOf(l.value.Type()) }

// The kinds of values. A secret is a string that is not shown.
const (
	kindString  = "string"
	kindSize    = "size"
	kindInteger = "integer"
	kindBoolean = "boolean"
	kindStrings = "array of strings"
	kindTable   = "table"
	kindTables  = "array of tables"
)

func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[Size]() {
		return kindSize
	}
	switch t.Kind() {
	case reflect.String:
		return kindString
	case reflect.Int:
		return kindInteger
	case reflect.Bool:
		return kindBoolean
	case reflect.Struct:
		return kindTable
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return kindTables
		}
		return kindStrings
	}
	panic("config: field of unsupported type " + t.String())
}

// leaves lists the keys of v, a struct at path, in the order of declaration.
func leaves(v reflect.Value, path string) []leaf {
	var out []leaf
	for i := range v.NumField() {
		f := v.Type().Field(i)
		p := joinPath(path, f.Tag.Get("toml"))
		if f.Type.Kind() == reflect.Struct {
			out = append(out, leaves(v.Field(i), p)...)
			continue
		}
		out = append(out, leaf{p, v.Field(i), f.Tag})
	}
	return out
}

// keys lists the keys of the table v, tables included, and each one's field.
func keys(v reflect.Value) (names []string, fields map[string]reflect.Value) {
	fields = make(map[string]reflect.Value)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("toml")
		names = append(names, name)
		fields[name] = v.Field(i)
	}
	return names, fields
}

func joinPath(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}

// parentPath cuts the last element of path: a key or an index.
func parentPath(path string) string {
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}
