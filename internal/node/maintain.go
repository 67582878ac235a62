package node

import (
	"io"
	"log/slog"
	"net/url"

	"github.com/live777/recorder/internal/media"
)

// Command is how a command that is not the node itself is to be done.
type Command struct {
	JSON     bool     // instead of text
	Prefixes []string // Verify: only what is in these folders
	Decode   bool     // Verify: with ffmpeg
	Index    bool     // Rebuild: sample indexes too
	Fill     bool     // Rebuild: what stands for lost segments
	// Originals is a file that lists what an original live777 recorded (maintain.RebuildOptions); may be empty.
	Originals string

	// Export: what of which stream, as GET file.mp4 has it in its query, and the file or
	// folder that it is written to; "-" is Stdout, and empty a name by stream and time.
	Stream string
	Span   media.TimeSpan
	Query  url.Values
	Output string

	Sample         int // Verify: one recording in so many is read, the others are compared by size; up to 1: all are read
	Stdout, Stderr io.Writer
	Logger         *slog.Logger // slog.Default() when nil
}
