package folder

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// lookTimeout bounds each look into storage.
const lookTimeout = 30 * time.Second

// Shared is what nodes share. Without a backend it has nothing.
type Shared struct{ Backend storage.Backend }

// Has reports whether there is the description of a recording.
func (s Shared) Has(ctx context.Context, recordDir string) (bool, error) {
	if s.Backend == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_, err := s.Backend.Stat(ctx, recordDir+"/"+media.InfoName)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Owner returns what the node of a recording called itself, or "" if there is no
// description of the recording.
func (s Shared) Owner(ctx context.Context, recordDir string) (string, error) {
	r, _, err := s.Read(ctx, recordDir)
	return r.Node, err
}

// Read returns what the description of a recording says. found is false if there is none,
// or it is damaged.
func (s Shared) Read(ctx context.Context, recordDir string) (r media.Recording, found bool, err error) {
	if s.Backend == nil {
		return r, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	body, err := s.Backend.Get(ctx, recordDir+"/"+media.InfoName, 0, media.MaxInfoSize)
	if errors.Is(err, storage.ErrNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	return Decode(body, recordDir)
}

// Decode reads and closes a recording.json. found is false if it is damaged.
func Decode(body io.ReadCloser, recordDir string) (r media.Recording, found bool, err error) {
	data, err := io.ReadAll(io.LimitReader(body, media.MaxInfoSize))
	if err := errors.Join(err, body.Close()); err != nil {
		return r, false, err
	}
	if peer.Parts(data) > peer.MaxParts {
		return r, false, nil // no program of ours has written it
	}
	r, _, err = media.DecodeRecording(data, recordDir)
	if err != nil {
		return r, false, nil //nolint:nilerr // it is damaged, and tells nothing
	}
	return r, true, nil
}
