package node

import (
	"io"
	"log/slog"
)

// Command is how a command that is not the node itself is to be done.
type Command struct {
	JSON           bool     // instead of text
	Prefixes       []string // Verify: only what is in these folders
	Decode         bool     // Verify: with ffmpeg
	Index          bool     // Rebuild: sample indexes too
	Sample         int      // Verify: one recording in so many is read, the others are compared by size; up to 1: all are read
	Stdout, Stderr io.Writer
	Logger         *slog.Logger // slog.Default() when nil
}
