package recording

import (
	"strings"

	"github.com/live777/recorder/internal/media"
)

// timeURL is where players of a recording's manifest ask for the time, seen from the
// manifest: the API answers beside all recordings, and may itself be anywhere, behind a
// proxy or below a manager's folder of the node.
func timeURL(recordDir string) string {
	return strings.Repeat("../", strings.Count(recordDir, "/")+1) + media.TimeName
}
