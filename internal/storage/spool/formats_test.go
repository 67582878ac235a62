package spool

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example of docs/formats/spool.md is what is in a spool's folder, of a recording that
// runs while remote storage is away.
func TestFormatIsDocumented(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	write(t, s, "camera/1772600767/recording.json", "{}")
	put(t, s, "camera/1772600767/v_init.m4s", "init")
	write(t, s, "camera/1772600767/v_seg_0001.m4s", "media")
	put(t, s, "camera/1772600767/manifest.mpd", "<MPD/>")
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			path, err = filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "formats", "spool.md"))
	if err != nil {
		t.Fatal(err)
	}
	if example := "```text\n" + strings.Join(files, "\n") + "\n```\n"; !strings.Contains(string(text), example) {
		t.Errorf("docs/formats/spool.md does not have the example\n%s", example)
	}
}
