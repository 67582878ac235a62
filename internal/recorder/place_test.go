package recorder

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/fault"
	"github.com/live777/recorder/internal/storage"
)

// slowList is a store in which others come between what is listed and what is done then.
type slowList struct{ Store }

func (s slowList) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		for o, err := range s.Store.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
		}
		for range 1000 {
			runtime.Gosched()
		}
	}
}

// Of recordings that begin at once in folders within each other one begins: none sees a
// folder as free that is being taken.
func TestPlacesAtOnce(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Store = slowList{o.Store} })
	streams := []string{"a", "b", "c"}
	for _, stream := range streams {
		g.publish(stream, source(t, "opus_mono.ogg"))
	}
	for round := range 20 {
		dirs := []string{fmt.Sprintf("show-%d", round), fmt.Sprintf("show-%d/day", round), fmt.Sprintf("show-%d/day/cam", round)}
		errs := make([]error, len(streams))
		var all sync.WaitGroup
		for i, stream := range streams {
			all.Go(func() { _, errs[i] = g.recorder.Start(context.Background(), stream, dirs[i]) })
		}
		all.Wait()
		begun := 0
		for i, err := range errs {
			switch {
			case err == nil:
				begun++
				g.stop(streams[i])
			case fault.KindOf(err) != fault.Conflict:
				t.Errorf("%s: %v", dirs[i], err)
			}
		}
		if begun != 1 {
			t.Fatalf("round %d: %d recordings have begun in %q: %v", round, begun, dirs, errs)
		}
		if len(g.recorder.reserved) != 0 {
			t.Fatalf("folders stay reserved: %+v", g.recorder.reserved)
		}
	}
}
