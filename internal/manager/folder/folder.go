// Package folder names the folders of recordings in a manager's catalogue, and reads what
// the recording.json in a folder of shared storage says.
package folder

import (
	"strings"

	"github.com/live777/recorder/internal/media"
)

// Mark begins the folder below which the catalogue keeps the recordings of a node that
// stores them itself. Two nodes may have folders of the same name.
const Mark = "@"

// Mount returns the folder of a node's own recordings.
func Mount(alias string) string { return Mark + alias + "/" }

// IsMounted reports whether a folder is one of a node's own.
func IsMounted(dir string) bool { return strings.HasPrefix(dir, Mark) }

// Mounted reports whether the catalogue's recording r is on its node.
func Mounted(r media.Recording) bool { return strings.HasPrefix(r.RecordDir, Mount(r.Node)) }

// Unmount returns r as the API shows it: with its folder as its node has it, and with
// the manifest's path as this manager has it, which means this recording alone.
func Unmount(r media.Recording) media.Recording {
	r.RecordDir = strings.TrimPrefix(r.RecordDir, Mount(r.Node))
	return r
}
