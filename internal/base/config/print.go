package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Print writes the configuration as TOML: every key that applies, defaults
// included, secrets as "********". With its secrets filled in, the text loads
// to the same configuration.
func (c *Config) Print(w io.Writer) error {
	return printTo(w, leaves(reflect.ValueOf(c).Elem(), ""), c.Recorder.Storage.Type)
}

// printTo is Print of the keys all, where storage is of the type that is named.
func printTo(w io.Writer, all []leaf, storageType string) error {
	var b bytes.Buffer
	table := ""
	var arrays []leaf // after the table's own keys, which they would else swallow
	var last []leaf   // arrays that are in no table
	flush := func() {
		for _, a := range arrays {
			printTables(&b, a)
		}
		arrays = nil
	}
	for _, f := range all {
		if types := f.tag.Get("for"); types != "" && !slices.Contains(strings.Split(types, "|"), storageType) {
			continue
		}
		if f.kind() == kindTables && f.parent() == "" {
			last = append(last, f)
			continue
		}
		if p := f.parent(); p != table {
			flush()
			if table != "" {
				b.WriteByte('\n')
			}
			table = p
			fmt.Fprintf(&b, "[%s]\n", p)
		}
		if f.kind() == kindTables {
			arrays = append(arrays, f)
			continue
		}
		fmt.Fprintf(&b, "%s = %s\n", f.path[len(table)+1:], tomlValue(f.value))
	}
	flush()
	for _, a := range last {
		printTables(&b, a)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func printTables(b *bytes.Buffer, a leaf) {
	for i := range a.value.Len() {
		fmt.Fprintf(b, "\n[[%s]]\n", a.path)
		for _, f := range leaves(a.value.Index(i), "") {
			fmt.Fprintf(b, "%s = %s\n", f.path, tomlValue(f.value))
		}
	}
}

// tomlValue renders v as TOML, secrets masked.
func tomlValue(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		if s, ok := v.Interface().(fmt.Stringer); ok {
			return tomlString(s.String())
		}
		return tomlString(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = tomlValue(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// tomlString renders a basic string (TOML 1.0, "String"). Go's quoting differs
// in what it escapes, and how.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
