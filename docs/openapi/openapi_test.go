package openapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	for name, tt := range map[string]struct{ own, other, want, err string }{
		"nothing in common": {`{"a": 1}`, `{"b": [2]}`, `{"a": 1, "b": [2]}`, ""},
		"at each level": {`{"paths": {"/x": {"get": 1}}}`, `{"paths": {"/x": {"put": 2}, "/y": {"get": 3}}}`,
			`{"paths": {"/x": {"get": 1, "put": 2}, "/y": {"get": 3}}}`, ""},
		"a schema twice":    {`{"components": {"schemas": {"A": {}}}}`, `{"components": {"schemas": {"A": {}}}}`, "", "components: schemas: A stands twice"},
		"no object":         {`{"paths": 1}`, `{"paths": {}}`, "", `"1" is no object`},
		"cut off":           {`{"paths": {`, `{}`, "", "read paths"},
		"no JSON":           {`{}`, ``, "", "read an object"},
		"no name":           {`{1: 2}`, `{}`, "", "read a name"},
		"an empty document": {`{}`, `{"paths": {}}`, `{"paths": {}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := merge([]byte(tt.own), []byte(tt.other), 0)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			var have, want any
			if err != nil || json.Unmarshal(got, &have) != nil || json.Unmarshal([]byte(tt.want), &want) != nil || !reflect.DeepEqual(have, want) {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// parts returns what stands in a file below each name at the level of schemas and
// operations.
func parts(t *testing.T, file []byte) map[string]any {
	t.Helper()
	var tree map[string]json.RawMessage
	if err := json.Unmarshal(file, &tree); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, top := range []string{"paths", "components"} {
		var kinds map[string]map[string]any
		if err := json.Unmarshal(tree[top], &kinds); err != nil {
			t.Fatal(err)
		}
		for kind, named := range kinds {
			for name, v := range named {
				all[kind+" "+name] = v
			}
		}
	}
	return all
}

// TestCommon: what both programs have stands in common.json alone.
func TestCommon(t *testing.T) {
	node, manager := parts(t, live777), parts(t, liveman)
	for name, v := range node {
		if other, ok := manager[name]; ok && reflect.DeepEqual(v, other) {
			t.Errorf("%s is the same in live777.json and liveman.json: it belongs in common.json", name)
		}
	}
	if n := len(parts(t, common)); n < 40 {
		t.Errorf("%d parts are common", n)
	}
}
