package recording

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/media"
)

// All fields of the journal and of recording.json stand in docs/formats.
func TestFieldsAreDocumented(t *testing.T) {
	checkFields(t, "journal.md", reflect.TypeFor[entry]())
	checkFields(t, "recording-json.md", reflect.TypeFor[media.Recording]())
}

// checkFields wants all fields of a type, and of those within it, in a document.
func checkFields(t *testing.T, document string, typ reflect.Type) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "formats", document))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[lane]() || seen[typ] || !strings.Contains(typ.PkgPath(), "live777/recorder") {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s does not have `%s` of %s", document, name, typ)
			}
			if f.Type != reflect.TypeFor[media.Recording]() && f.Type != reflect.TypeFor[*media.Recording]() {
				visit(f.Type)
			}
		}
	}
	visit(typ)
}
