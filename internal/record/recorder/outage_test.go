package recorder

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// away is a store that keeps what it is given here and cannot say what it has
// elsewhere.
type away struct{ *fs.Store }

func (a away) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := a.Store.Stat(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		err = fault.New(fault.Unavailable, "the other place does not answer")
	}
	return o, err
}

func (away) Traits() storage.Traits { return storage.Traits{Uploads: true, InPlace: true} }

// Pending says that what is here is elsewhere too, so that nothing waits for that.
func (away) Pending(string) bool { return false }

func (away) Lost(string) []string { return nil }

// While remote storage is away, recordings begin all the same.
func TestStartInOutage(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.Store = away{o.Store.(*fs.Store)}
	})
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	dir := g.start("camera", "").RecordDir
	s.send(4 * time.Second)
	g.stop("camera")
	g.read(dir)
}

// A node that dies while remote storage is away mends and seals what is here.
func TestCrashInOutage(t *testing.T) {
	images, s := theFilm(t, "h264_baseline.h264")
	for i := 20; i < len(images); i += 40 {
		img := images[i]
		t.Run(img.at, func(t *testing.T) {
			t.Parallel()
			g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
			g.recorder.o.Store = away{g.store}
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.mended(img, s.log, framesOfChunk)
		})
	}
}
