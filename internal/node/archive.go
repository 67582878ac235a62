//go:build !norecorder

package node

import (
	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/serve/api"
)

func (w *withRecorder) archive() (api.Archive, error) {
	return archive.New(archive.Options{Catalogue: w.catalogue, Running: w.Running})
}
