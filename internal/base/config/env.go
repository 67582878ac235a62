package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// serviceVariable matches, after a program's prefix, what Kubernetes and Docker
// put into the environment for a service of the program's name: not ours, and no
// reason to refuse a start.
var serviceVariable = regexp.MustCompile(`^(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// bindEnv puts the environment's values over the file's.
func (l *loader) bindEnv(environ []string) {
	prefix := l.program.envPrefix
	byName := make(map[string]leaf)
	var names []string
	for _, f := range l.leaves {
		if name := f.env(prefix); name != "" {
			byName[name] = f
			names = append(names, name)
		}
	}
	database := byName[prefix+"DATABASE_URL"]
	for _, kv := range environ {
		// The customary name, not ours; the same under our prefix comes later and wins.
		if value, ok := strings.CutPrefix(kv, "DATABASE_URL="); ok && value != "" {
			l.bindVariable(database, "DATABASE_URL", value)
		}
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		f, ok := byName[name]
		switch {
		case ok:
			l.bindVariable(f, name, value)
		case serviceVariable.MatchString(name[len(prefix):]) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
		default:
			l.failEnv(name, "there is no such setting%s", suggestVariable(prefix, name, names))
		}
	}
}

// bindVariable sets f from the variable called name.
func (l *loader) bindVariable(f leaf, name, value string) {
	l.set[f.path] = true
	l.vars[f.path] = name
	if value == "" && strings.HasPrefix(f.path, "auth.") {
		// A variable that somebody forgot to fill in must not open the node.
		l.fail(f.path, "is empty; unset it")
		return
	}
	if err := parseText(f.value, value); err != nil {
		l.fail(f.path, "%s", err)
	}
}

func suggestVariable(prefix, name string, names []string) string {
	if near, ok := nearest(name[len(prefix):], cutPrefixes(prefix, names)); ok {
		return "; did you mean " + prefix + near + "?"
	}
	return "; the variables are " + strings.Join(names, ", ")
}

// cutPrefixes leaves out what all variables share and no slip can be in.
func cutPrefixes(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.TrimPrefix(n, prefix)
	}
	return out
}

// parseText sets v from the text of an environment variable or of a default
// tag: lists are separated by commas.
func parseText(v reflect.Value, text string) error {
	if !utf8.ValidString(text) { // the parser sees to the file
		return errors.New("is not valid UTF-8")
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 32)
		if err != nil {
			return fmt.Errorf("want an integer, got %q", text)
		}
		v.SetInt(n)
	case reflect.Bool:
		// As in TOML: "yes", "1" or "True" are as likely mistakes as meant.
		if text != "true" && text != "false" {
			return fmt.Errorf(`want "true" or "false", got %q`, text)
		}
		v.SetBool(text == "true")
	case reflect.Slice:
		var parts []string
		if text != "" {
			parts = strings.Split(text, ",")
		}
		s := reflect.MakeSlice(v.Type(), len(parts), len(parts))
		for i, p := range parts {
			s.Index(i).SetString(strings.TrimSpace(p))
		}
		v.Set(s)
	default:
		return errors.New("can be set in the file only")
	}
	return nil
}
