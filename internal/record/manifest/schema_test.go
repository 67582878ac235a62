package manifest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// schemaDir finds the XML schema of the MPD, 5th edition with amendment 1, which
// ISO's terms keep out of the project: in the folder that DASH_XSD_DIR names, or
// in one beside the checkout. There need not be one, unless DASH_XSD_DIR says so.
func schemaDir(t *testing.T) (string, bool) {
	t.Helper()
	dir := os.Getenv("DASH_XSD_DIR")
	named := dir != ""
	if !named {
		dir = filepath.Join("..", "..", "..", "..", "shared", "dash-xsd") // beside the repository
	}
	schema := filepath.Join(dir, "5th-Ed-AMD1", "DASH-MPD.xsd")
	_, err := os.Stat(schema)
	if err != nil && named {
		t.Fatalf("DASH_XSD_DIR has no schema: %v", err)
	}
	return schema, err == nil
}

func TestSchema(t *testing.T) {
	schema, ok := schemaDir(t)
	if !ok {
		t.Log("NOT RUN: the MPD schema is not on this machine; name its folder in DASH_XSD_DIR")
		return
	}
	all := presentations(t)
	all["day"] = day(t)
	all["live"] = *running(t, 5, 4)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			text := p.AppendLiveMPD(nil)
			if out, ok := validate(t, schema, text); !ok {
				t.Errorf("the schema refuses the MPD:\n%s\n%s", out, text)
			}
			broken := bytes.Replace(text, []byte(" minBufferTime="), []byte(" maxBufferTime="), 1)
			if _, ok := validate(t, schema, broken); ok {
				t.Error("an MPD without minBufferTime passes: the schema is not applied")
			}
		})
	}
}

// validate runs xmllint over one MPD and returns what it prints.
func validate(t *testing.T, schema string, text []byte) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xmllint", "--nonet", "--noout", "--schema", schema, "-")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		t.Fatal("xmllint is not installed: install the package libxml2-utils")
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	}
	return string(out), err == nil
}
