package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// documented is one row of a reference.
type documented struct{ kind, def, env string }

// readDocs returns the rows of a reference by path.
func readDocs(t *testing.T, file string) map[string]documented {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]documented)
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.Trim(s, "[]")
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 5 {
			t.Fatalf("a row of %d cells: %s", len(cells), line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "`", ""))
		}
		path := section + "." + cells[0]
		if _, ok := rows[path]; ok {
			t.Errorf("%s is documented twice", path)
		}
		rows[path] = documented{cells[1], cells[2], cells[4]}
	}
	return rows
}

// describe returns the row that f has to have.
func describe(p *program, f leaf) documented {
	d := documented{kind: f.kind(), def: f.tag.Get("default"), env: f.env(p.envPrefix)}
	switch f.value.Interface().(type) {
	case Secret:
		d.kind = "secret"
	case []Secret:
		d.kind = "array of secrets"
	}
	switch {
	case f.tag.Get("derived") != "":
		d.def = f.tag.Get("derived")
	case f.value.Kind() == reflect.Slice:
		d.def = "[]"
	case d.def == "":
		d.def = "empty"
	}
	return d
}

func TestDocumentation(t *testing.T) {
	for _, tt := range []struct {
		file    string
		program *program
		root    any
		tables  map[string]any // arrays of tables, which only the file has, and what is in them
	}{
		{"../../../docs/configuration.md", live777, new(Config), map[string]any{"webrtc.ice_servers": new(ICEServer), "auth.users": new(User), "limits.rules": new(LimitRule), "webhooks": new(Webhook), "hooks": new(Hook), "nats": new(NATS), "mqtt": new(MQTT)}},
		{"../../../docs/configuration-liveman.md", liveman, new(Liveman), map[string]any{"nodes": new(Node), "placement": new(Placement), "auth.users": new(User), "webhooks": new(Webhook), "hooks": new(Hook), "nats": new(NATS), "mqtt": new(MQTT)}},
	} {
		docs := readDocs(t, tt.file)
		all := tt.program.leaves(reflect.ValueOf(tt.root).Elem())
		for path, of := range tt.tables {
			all = append(all, leaves(reflect.ValueOf(of).Elem(), path)...)
		}
		for _, f := range all {
			if tt.tables[f.path] != nil && f.parent() == "" {
				continue // it has a section, and no table that it is a row of
			}
			want := describe(tt.program, f)
			if tt.tables[f.parent()] != nil {
				want.env = ""
			}
			got, ok := docs[f.path]
			if !ok {
				t.Errorf("%s lacks %s", tt.file, f.path)
			} else if got != want {
				t.Errorf("%s says of %s %+v, want %+v", tt.file, f.path, got, want)
			}
			delete(docs, f.path)
		}
		for path := range docs {
			t.Errorf("%s has %s, which does not exist", tt.file, path)
		}
	}
}
