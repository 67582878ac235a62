package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	var b bytes.Buffer
	l, err := New(&b, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	l.Info("quiet")
	l.Warn("loud", "stream", "room")
	var line struct{ Level, Msg, Stream string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Level != "WARN" || line.Msg != "loud" || line.Stream != "room" {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	l.Warn("odd", "stream", "a\u202eb\U000e0041c\n相机")
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Stream != "a\u202eb\U000e0041c\n相机" ||
		!strings.Contains(b.String(), `"a\u202eb\udb40\udc41c\n相机"`) || !strings.HasSuffix(b.String(), "}\n") {
		t.Errorf("%v: %q", err, b.String())
	}
	b.Reset()
	if l, err = New(&b, "debug", "text"); err != nil {
		t.Fatal(err)
	}
	l.Debug("fine")
	l.Debug("odd", "stream", "a\u202eb")
	if strings.Contains(b.String(), "\u202e") || !strings.Contains(b.String(), `"a\u202eb"`) {
		t.Errorf("text: %q", b.String())
	}
	if !strings.Contains(b.String(), "level=DEBUG msg=fine") {
		t.Errorf("text: %s", b.String())
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := New(&b, bad[0], bad[1]); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

func TestSetLevel(t *testing.T) {
	var b strings.Builder
	log, err := New(&b, "warn", "text")
	if err != nil {
		t.Fatal(err)
	}
	made := log.With("stream", "a")
	made.Info("before")
	if err := SetLevel(log, "info"); err != nil {
		t.Fatal(err)
	}
	made.Info("after")
	if got := b.String(); strings.Contains(got, "before") || !strings.Contains(got, "after") {
		t.Errorf("written: %s", got)
	}
	if SetLevel(log, "loud") == nil {
		t.Error("a level that does not exist is taken")
	}
}
