package recorder

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// Why a recording failed is told to all who may view it, and where it is kept to
// nobody.
func TestFailuresTellNoPaths(t *testing.T) {
	failure := fmt.Errorf("write segment: %w", fmt.Errorf("%w: %w", storage.ErrFull, &fs.PathError{Op: "write", Path: "/srv/recordings/cam", Err: syscall.ENOSPC}))
	text := (&session{outcome: outcome{failure: failure}}).status().Error
	if strings.Contains(text, "/srv") || !strings.Contains(text, "write segment: no space left on storage") {
		t.Errorf("it says %q", text)
	}
}
