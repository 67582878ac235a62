package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Load reads the TOML file at path, puts the variables of environ ("NAME=value",
// as os.Environ) on top, fills in the defaults and checks everything. The file
// may be absent unless explicit is true. The error joins every problem found,
// each with its file and line or its variable; it never shows a secret.
func Load(path string, explicit bool, environ []string) (*Config, error) {
	text, err := readFile(path, explicit)
	if err != nil {
		return nil, err
	}
	return load(path, text, environ)
}

func readFile(path string, explicit bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !explicit:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}

// load is Load for a file's content.
func load(file string, text []byte, environ []string) (*Config, error) {
	c := new(Config)
	if err := loadInto(c, live777, file, text, environ); err != nil {
		return nil, err
	}
	return c, nil
}

// settings is the configuration of a program.
type settings interface {
	// derive sets the defaults that depend on other keys.
	derive(*loader)
	// validate checks every value; problems are noted in the loader.
	validate(*loader)
}

// loadInto fills in c from a file's content and the environment.
func loadInto(c settings, p *program, file string, text []byte, environ []string) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // Windows editors write a byte order mark
	root := reflect.ValueOf(c).Elem()
	l := &loader{
		program: p, leaves: p.leaves(root), file: file,
		set: make(map[string]bool), vars: make(map[string]string), failed: make(map[string]bool),
	}
	for _, f := range l.leaves {
		if d := f.tag.Get("default"); d != "" {
			if err := parseText(f.value, d); err != nil {
				panic("config: default of " + f.path + ": " + err.Error()) // a defect of the struct; every test would see it
			}
		}
	}

	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		// What follows a syntax error cannot be judged.
		return syntaxError(file, err)
	}
	l.lines = lineNumbers(text)
	l.bind(root, doc, "")
	l.bindEnv(environ)
	c.derive(l)
	for _, f := range l.leaves {
		l.checkTags(f)
	}
	c.validate(l)
	if err := l.err(); err != nil {
		return errors.Join(err, p.fromOriginal(file, doc))
	}
	return nil
}

// Default returns the configuration without file and environment.
func Default() *Config {
	c, err := load("", nil, nil)
	if err != nil {
		panic("config: the defaults are not valid: " + err.Error()) // a defect; every test would see it
	}
	return c
}

func (c *Config) derive(l *loader) {
	if !l.set["webrtc.listen"] {
		// A bad http.listen is reported by validate.
		host, _, _ := net.SplitHostPort(c.HTTP.Listen)
		if _, ok := c.HTTP.Socket(); ok {
			host = "127.0.0.1"
		}
		c.WebRTC.Listen = net.JoinHostPort(host, "7777")
	}
	l.deriveOrigins(&c.HTTP, &c.Auth)
	l.deriveRoot("recorder.storage", &c.Recorder.Storage)
	if c.Manager.URL == "" {
		return
	}
	if _, ok := c.HTTP.Socket(); !ok && !l.set["manager.node_url"] {
		c.Manager.NodeURL = c.HTTP.Scheme() + "://" + c.HTTP.Listen
	}
	if !l.set["manager.node_token"] && len(c.Auth.Tokens) > 0 {
		c.Manager.NodeToken = c.Auth.Tokens[0]
	}
}

func (l *loader) deriveOrigins(h *HTTP, a *Auth) {
	if l.set["http.cors_origins"] {
		return
	}
	h.CORSOrigins = []string{"http://localhost:*", "http://127.0.0.1:*"}
	if a.Configured() {
		// Tokens travel in headers that a page must know. The cookie of a session
		// counts for the server's own page only, whatever stands here.
		h.CORSOrigins = []string{"*"}
	}
}

// deriveRoot sets the root of the storage section at path.
func (l *loader) deriveRoot(path string, s *Storage) {
	if l.set[path+".root"] {
		return
	}
	s.Root = "/"
	if s.Type == StorageFS {
		s.Root = "./storage"
	}
}

// loader collects what is known about where values came from, and the problems.
type loader struct {
	program  *program
	leaves   []leaf
	file     string
	lines    map[string]int    // of each path in the file
	set      map[string]bool   // paths that the file or the environment gave
	vars     map[string]string // paths that a variable gave, and its name
	failed   map[string]bool   // paths with a problem
	problems []problem
}

// problem is one thing wrong. Those of the file come first, by line.
type problem struct {
	line int
	text string
}

// fail notes a problem with the value at path, unless there is one already
// with it or with what contains it: the rest would be consequences.
func (l *loader) fail(path, format string, args ...any) {
	for p := path; p != ""; p = parentPath(p) {
		if l.failed[p] {
			return
		}
	}
	l.failed[path] = true
	text := path + ": " + fmt.Sprintf(format, args...)
	if v, ok := l.vars[strings.SplitN(path, "[", 2)[0]]; ok {
		l.problems = append(l.problems, problem{len(l.problems) + 1<<30, "environment variable " + v + ": " + text})
		return
	}
	// A value that is missing is the fault of the table that lacks it.
	line := 0
	for p := path; p != "" && line == 0; p = parentPath(p) {
		line = l.lines[p]
	}
	where := ""
	switch {
	case line > 0:
		where = fmt.Sprintf("%s:%d: ", l.file, line)
	case l.file != "":
		where = l.file + ": "
	}
	l.problems = append(l.problems, problem{line, where + text})
}

// failEnv notes a problem with a variable that names no key.
func (l *loader) failEnv(name, format string, args ...any) {
	text := "environment variable " + name + ": " + fmt.Sprintf(format, args...)
	l.problems = append(l.problems, problem{len(l.problems) + 1<<30, text})
}

// err joins the problems.
func (l *loader) err() error {
	sort.SliceStable(l.problems, func(i, j int) bool { return l.problems[i].line < l.problems[j].line })
	errs := make([]error, len(l.problems))
	for i, p := range l.problems {
		errs[i] = errors.New(p.text)
	}
	return errors.Join(errs...)
}
