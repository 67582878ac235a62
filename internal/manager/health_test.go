//go:build !norecorder

package manager

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/manager/peer"
)

// Shared storage that cannot be opened any more makes a manager unready until it can.
func TestSharedRootInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, file, link := filepath.Join(dir, "folder"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, nil, 0o600), os.Symlink(folder, link), os.Symlink(file, link+".next")); err != nil {
		t.Fatal(err)
	}
	m := startManager(t, t.TempDir(), nil, func(c *config.Liveman) { c.Storage.Type, c.Storage.Root = config.StorageFS, link })
	ready := func(status int) func() bool {
		return func() bool { return m.call(http.MethodGet, "/readyz", "", nil) == status }
	}
	until(t, "it is ready", ready(http.StatusOK))
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	until(t, "it is not ready", ready(http.StatusServiceUnavailable))
	var told struct{ Problems []health.Problem }
	if code := m.call(http.MethodGet, "/api/problems", "", &told); code != http.StatusOK || len(told.Problems) != 1 ||
		told.Problems[0].Place != "storage" || !strings.Contains(told.Problems[0].Text, "storage.root") {
		t.Errorf("%d %+v", code, told)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	until(t, "it is ready again", ready(http.StatusOK))
}

// What a node says of its problems is bounded: it is kept, and shown to others.
func TestBoundedProblems(t *testing.T) {
	told := make([]health.Problem, 1000)
	for i := range told {
		told[i] = health.Problem{Place: strings.Repeat("é", 5000), Text: strings.Repeat("x", 5000)}
	}
	kept := bounded(told)
	if len(kept) != maxProblems {
		t.Errorf("%d are kept", len(kept))
	}
	for _, p := range kept {
		if len(p.Place) > peer.MaxText || len(p.Text) > peer.MaxText {
			t.Errorf("a text of %d bytes is kept", max(len(p.Place), len(p.Text)))
		}
	}
	if got := bounded(nil); got != nil {
		t.Errorf("of none %v are kept", got)
	}
}
