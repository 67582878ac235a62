package spool

import (
	"maps"
	"path/filepath"
	"testing"
)

// What waits can be told beside the node that uses the spool.
func TestWaiting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if waiting, err := Waiting(t.Context(), dir); err != nil || len(waiting) != 0 {
		t.Errorf("of no spool: %v, %v", waiting, err)
	}
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	put(t, s, "cam/1/v_seg_0001.m4s", "media")
	put(t, s, "cam/1/recording.json", "{}")
	want := map[string]int64{"cam/1/v_seg_0001.m4s": 5, "cam/1/recording.json": 2}
	if waiting, err := Waiting(t.Context(), dir); err != nil || !maps.Equal(waiting, want) {
		t.Errorf("%v, %v, want %v", waiting, err, want)
	}
	s.Start()
	settled(t, s)
	if waiting, err := Waiting(t.Context(), dir); err != nil || len(waiting) != 0 {
		t.Errorf("when all is uploaded: %v, %v", waiting, err)
	}
}
