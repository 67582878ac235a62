package chaos

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/testkit/load"
)

// Sources that are made when they are first asked for.
const (
	sourceRare = "a key frame every 8.3 s"
	sourceOnce = "one key frame"
)

var made = struct {
	sync.Mutex
	sources map[string]*load.Source
}{sources: map[string]*load.Source{}}

// source returns the media of a name. It is called before the simulated time begins.
func source(t *testing.T, name string) *load.Source {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if s := made.sources[name]; s != nil {
		return s
	}
	var s *load.Source
	var err error
	switch name {
	case sourceRare:
		s, err = load.Picture{Size: "320x180", GOP: 250, Seconds: 60}.Encode(t.Context())
	case sourceOnce:
		s, err = load.Picture{Size: "320x180", GOP: 1 << 20, Seconds: 60}.Encode(t.Context())
	default:
		s, err = load.Open(filepath.Join("..", "..", "..", "testdata", "media", name))
	}
	if err != nil {
		t.Fatal(err)
	}
	made.sources[name] = s
	return s
}
