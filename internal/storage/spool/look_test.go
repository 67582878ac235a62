package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
)

// A spool that is removed while remote storage is away is seen and taken anew: what
// waited is lost, is never taken for stored, and says so; what comes is uploaded.
func TestLookRemoved(t *testing.T) {
	remote := newMemRemote()
	remote.before = func(context.Context, string, io.Reader) error { return errDown }
	dir := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	put(t, s, "cam/1/v_seg_0001.m4s", "media")
	f, err := s.Create(t.Context(), "cam/1/v_seg_0002.m4s")
	if err != nil {
		t.Fatal(err)
	}
	if replaced, err := s.Look(t.Context()); err != nil || replaced {
		t.Errorf("before: %v, %v", replaced, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if replaced, err := s.Look(t.Context()); err != nil || !replaced {
		t.Errorf("a spool that can be made anew: %v, %v", replaced, err)
	}
	if _, err := f.Write([]byte("more")); err == nil {
		t.Error("what was being written goes on where its beginning is not")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if st := s.Status(); st.Lost != 1 {
		t.Errorf("%d objects are lost, want 1", st.Lost)
	}
	if lost := s.Lost("cam/1"); !slices.Equal(lost, []string{"cam/1/v_seg_0001.m4s"}) || s.Lost("cam") != nil {
		t.Errorf("lost are %q", lost)
	}
	_, err = New(t.Context(), Options{Dir: dir, Remote: remote})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("the new directory can be had by another: %v", err)
	}
	put(t, s, "cam/1/recording.json", "verdict")
	put(t, s, "cam/2/v_seg_0001.m4s", "later")
	remote.mu.Lock()
	remote.before = nil
	remote.mu.Unlock()
	s.Start()
	settled(t, s)
	if st := s.Status(); st.Lost != 2 || st.Conflicts != 0 {
		t.Errorf("%d objects are lost, want 2; %d conflicts", st.Lost, st.Conflicts)
	}
	for _, key := range []string{"cam/1/v_seg_0001.m4s", "cam/1/v_seg_0002.m4s"} {
		if !s.Pending(key) {
			t.Errorf("%s counts as stored", key)
		}
	}
	for _, key := range []string{"cam/1/recording.json", "cam/2/v_seg_0001.m4s"} {
		if _, err := remote.Stat(t.Context(), key); err != nil {
			t.Errorf("%s is not stored: %v", key, err)
		}
	}
	put(t, s, "cam/1/v_seg_0001.m4s", "again")
	settled(t, s)
	if st := s.Status(); st.Lost != 1 {
		t.Errorf("%d objects are lost after one came back, want 1", st.Lost)
	}
	if lost := s.Lost("cam/1"); !slices.Equal(lost, []string{"cam/1/v_seg_0002.m4s"}) {
		t.Errorf("lost are %q", lost)
	}
	if err := s.Delete(t.Context(), "cam/1/recording.json"); err != nil || s.Lost("cam/1") != nil || s.Status().Lost != 0 {
		t.Errorf("lost after the recording was deleted are %q, %v", s.Lost("cam/1"), err)
	}
}

// A spool in whose place a copy of it is put, as from one disk to another, has lost
// nothing, and belongs to this process.
func TestLookCopied(t *testing.T) {
	remote := newMemRemote()
	dir := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, Options{Dir: dir, Remote: remote})
	for _, key := range []string{"cam/1/recording.json", "cam/1/v_seg_0001.m4s"} {
		f, err := s.Create(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("media")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.CopyFS(dir+".copy", os.DirFS(dir)), os.Rename(dir, dir+".old"), os.Rename(dir+".copy", dir)); err != nil {
		t.Fatal(err)
	}
	if replaced, err := s.Look(t.Context()); err != nil || !replaced {
		t.Errorf("%v, %v", replaced, err)
	}
	if st := s.Status(); st.Lost != 0 || st.WaitingObjects != 2 {
		t.Errorf("%d objects wait, %d are lost", st.WaitingObjects, st.Lost)
	}
	if _, err := New(t.Context(), Options{Dir: dir, Remote: remote}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the copy can be had by another: %v", err)
	}
	s.Start()
	settled(t, s)
	for _, key := range []string{"cam/1/recording.json", "cam/1/v_seg_0001.m4s"} {
		if _, err := remote.Stat(t.Context(), key); err != nil {
			t.Errorf("%s is not stored: %v", key, err)
		}
	}
}

// A directory that cannot be made anew is an error, with its option, until it can.
func TestLookInTheWay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := openSpool(t, Options{Dir: dir, Remote: newMemRemote()})
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "recorder.spool.dir") {
			t.Errorf("a file in its place: %v", err)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Look(t.Context()); err != nil {
		t.Error(err)
	}
}
