package retention_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/media"
)

// TestBin deletes recordings after a while, but for what was taken back.
func TestBin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		have := map[string]media.Recording{
			"cam/1": {Stream: "cam", Status: media.StatusComplete}, "cam/2": {Stream: "cam", Status: media.StatusComplete},
			"cam/3": {Stream: "cam", Status: media.StatusComplete, Protected: true}, "cam/4": {Stream: "cam", Status: media.StatusRecording},
		}
		var mu sync.Mutex // of have and deleted: the bin's goroutine deletes
		var deleted []string
		bin, err := retention.NewBin(retention.BinOptions{
			Recording: func(_ context.Context, dir string) (media.Recording, error) {
				mu.Lock()
				defer mu.Unlock()
				rec, ok := have[dir]
				if !ok {
					return rec, fault.New(fault.NotFound, "there is none")
				}
				return rec, nil
			},
			Delete: func(_ context.Context, dir string) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				deleted = append(deleted, dir)
				delete(have, dir)
				return true, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); bin.Run(ctx) }()
		begin := time.Now()
		for dir, want := range map[string]fault.Kind{"cam/3": fault.Conflict, "cam/4": fault.Conflict, "cam/5": fault.NotFound} {
			if _, err := bin.DeleteLater(ctx, dir, 10*time.Second); fault.KindOf(err) != want {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if _, err := bin.Undelete(ctx, "cam/1"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("taken back what nobody has asked for: %v", err)
		}
		for i, dir := range []string{"cam/2", "cam/1"} {
			w, err := bin.DeleteLater(ctx, dir, time.Duration(10+i)*time.Second)
			if err != nil || !w.At.Equal(begin.Add(time.Duration(10+i)*time.Second)) {
				t.Errorf("%s: %v, %v", dir, w, err)
			}
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if list := bin.Deletions(); len(deleted) > 0 || len(list) != 2 || list[0].RecordDir != "cam/2" {
			t.Errorf("after 9 s %v are deleted, and %v wait", deleted, list)
		}
		if rec, err := bin.Undelete(ctx, "cam/2"); err != nil || rec.Stream != "cam" {
			t.Errorf("take it back: %v, %v", rec, err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !slices.Equal(deleted, []string{"cam/1"}) || len(bin.Deletions()) > 0 {
			t.Errorf("deleted are %v, and %v wait", deleted, bin.Deletions())
		}
		cancel()
		<-ended
	})
}
