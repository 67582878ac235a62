package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileMode(t *testing.T) {
	for text, want := range map[string]os.FileMode{"0600": 0o600, "0640": 0o640, "0644": 0o644, "660": 0o660, "0664": 0o664} {
		if c := mustLoad(t, "[recorder.storage]\nfile_mode = '"+text+"'"); c.Recorder.Storage.FileMode.Mode() != want {
			t.Errorf("%q is %o", text, c.Recorder.Storage.FileMode.Mode())
		}
	}
	for _, text := range []string{"", "0", "0400", "0200", "0666", "0646", "0755", "0700", "1640", "9999", "rw-r--r--", "-0640"} {
		if _, err := load("x", []byte("[recorder.storage]\nfile_mode = '"+text+"'"), nil); err == nil || !strings.Contains(err.Error(), "recorder.storage.file_mode") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := load("x", []byte("[recorder.storage]\ntype = 's3'\nbucket = 'b'\nfile_mode = '0600'"), nil); err == nil {
		t.Error("s3 has modes")
	}
}

// TestExposed: who can read a file with secrets is told of, and nothing else.
func TestExposed(t *testing.T) {
	const secrets = "[auth]\ntokens = ['0123456789abcdef']\n"
	dir := t.TempDir()
	for i, tt := range []struct {
		text   string
		mode   os.FileMode
		warned bool
	}{
		{secrets, 0o644, true},
		{secrets, 0o604, true},
		{secrets, 0o640, false},
		{secrets, 0o600, false},
		{"[http]\nlisten = '127.0.0.1:1'\n", 0o644, false},
		{"[database]\nurl = 'postgres://u:p@h/d'\n", 0o644, true},
		{"[database]\nurl = 'postgres://u@h/d'\n", 0o644, false},
		{"[[webrtc.ice_servers]]\nurls = ['turn:a']\nusername = 'u'\ncredential = 'c'\n", 0o644, true},
		{"[auth]\nsecret = '0123456789abcdef'\n", 0o644, true},
		{"[recorder.storage]\ntype = 's3'\nbucket = 'b'\naccess_key_id = 'a'\nsecret_access_key = 's'\n", 0o644, true},
	} {
		file := filepath.Join(dir, "x.toml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		if got := Exposed(file); got != tt.warned {
			t.Errorf("%d: %o: %v", i, tt.mode, got)
		}
	}
	if Exposed(filepath.Join(dir, "none.toml")) {
		t.Error("no file: a warning")
	}
	file := filepath.Join(dir, "liveman.toml")
	if err := os.WriteFile(file, []byte("[registration]\ntoken = '0123456789abcdef'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if !ExposedLiveman(file) {
		t.Error("liveman: no warning")
	}
}
