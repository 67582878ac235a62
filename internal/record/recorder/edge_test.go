package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// edgeOf returns the next chunk that players of a playlist wait for.
func edgeOf(t *testing.T, playlist []byte) (next media.Reload) {
	t.Helper()
	_, last, _ := bytes.Cut(playlist, []byte("#EXT-X-PLAYLIST-TYPE:EVENT\n"))
	i := bytes.LastIndex(last, []byte("#EXTINF:"))
	return media.Reload{Sequence: bytes.Count(last, []byte("#EXTINF:")), Part: bytes.Count(last[max(i, 0):], []byte("#EXT-X-PART:"))}
}

// asked is the answer to a request that waits.
type asked struct {
	data []byte
	err  error
}

// ask asks for a playlist that has come so far, and returns when that waits or is answered.
func (g *rig) ask(key string, q media.Reload) <-chan asked {
	c := make(chan asked, 1)
	before := g.recorder.waiting.count.Load()
	defer await.Until(g.t, "the request waits", func() bool { return len(c) > 0 || g.recorder.waiting.count.Load() > before })
	go func() {
		data, _, _, err := g.recorder.LiveManifest(context.Background(), key, q)
		c <- asked{data, err}
	}()
	return c
}

// Players that wait for a chunk get it when it is written, and can read its bytes; those
// that wait when the recording is rotated or ends get its last playlist.
func TestLowLatency(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 20 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(5 * time.Second)
	g.caughtUp("camera")
	for _, name := range []string{"video.m3u8", "audio.m3u8"} {
		key := path.Join(rec.RecordDir, name)
		now, _, ok, err := g.recorder.LiveManifest(t.Context(), key, media.Reload{Sequence: -1})
		next := edgeOf(t, now)
		if err != nil || !ok || next.Sequence < 2 || next.Part < 1 {
			t.Fatalf("%v, %v, %v\n%s", next, ok, err, now)
		}
		waits := g.ask(key, next)
		s.send(time.Second)
		got := <-waits
		if e := edgeOf(t, got.data); got.err != nil || e.Sequence < next.Sequence || e.Sequence == next.Sequence && e.Part <= next.Part {
			t.Fatalf("waited for %v, got %v, %v\n%s", next, e, got.err, got.data)
		}
		parts := regexp.MustCompile(`EXT-X-PART:.*URI="(.*)",BYTERANGE="(\d+)@(\d+)"`).FindAllSubmatch(got.data, -1)
		for _, p := range parts {
			length, _ := strconv.ParseInt(string(p[2]), 10, 64)
			offset, _ := strconv.ParseInt(string(p[3]), 10, 64)
			body, err := g.store.Get(t.Context(), path.Join(rec.RecordDir, string(p[1])), offset, length)
			if err != nil {
				t.Fatal(err)
			}
			chunk, err := io.ReadAll(body)
			_ = body.Close()
			if err != nil || int64(len(chunk)) != length || !bytes.Contains(chunk[:min(120, len(chunk))], []byte("moof")) {
				t.Errorf("%s: %d bytes of a chunk of %d at %d, %v", p[1], len(chunk), length, offset, err)
			}
		}
	}
	key := path.Join(rec.RecordDir, "audio.m3u8")
	s.send(12 * time.Second)
	g.caughtUp("camera")
	now, _, _, _ := g.recorder.LiveManifest(t.Context(), key, media.Reload{Sequence: -1})
	rotated := g.ask(key, media.Reload{Sequence: edgeOf(t, now).Sequence + 1, Part: 9})
	s.send(6 * time.Second)
	g.caughtUp("camera")
	if got := <-rotated; got.err != nil || !bytes.HasSuffix(got.data, []byte("#EXT-X-ENDLIST\n")) {
		t.Errorf("after rotation: %v\n%s", got.err, got.data)
	}
}

// What grows is waited for; what is closed, or was never there, is not.
func TestGrown(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(3200 * time.Millisecond)
	g.caughtUp("camera")
	closed, open := path.Join(rec.RecordDir, "a_seg_0001.m4s"), path.Join(rec.RecordDir, "a_seg_0002.m4s")
	for _, key := range []string{closed, path.Join(rec.RecordDir, "a_seg_0009.m4s"), "other/1/a_seg_0001.m4s"} {
		if _, grows, err := g.recorder.Grown(t.Context(), key, 1<<40); grows || err != nil {
			t.Errorf("%s: grows %v, %v", key, grows, err)
		}
	}
	size, grows, err := g.recorder.Grown(t.Context(), open, 0)
	if err != nil || !grows || size == 0 {
		t.Fatalf("%d bytes, grows %v, %v", size, grows, err)
	}
	more := make(chan int64, 1)
	go func() {
		n, _, _ := g.recorder.Grown(context.Background(), open, size)
		more <- n
	}()
	s.send(600 * time.Millisecond)
	if n := <-more; n <= size {
		t.Errorf("waited for more than %d bytes, got %d", size, n)
	}
	ended := make(chan bool, 1)
	go func() {
		_, grows, _ := g.recorder.Grown(context.Background(), open, 1<<40)
		ended <- grows
	}()
	g.stop("camera")
	if <-ended {
		t.Error("it grows after the end")
	}
}

// So many wait at once, and nobody when the node stops.
func TestWaitingIsBounded(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(5 * time.Second)
	g.caughtUp("camera")
	key := path.Join(rec.RecordDir, "audio.m3u8")
	next := media.Reload{Sequence: 3, Part: -1}
	g.recorder.waiting.count.Add(maxWaiting)
	if got := <-g.ask(key, next); fault.KindOf(got.err) != fault.Unavailable {
		t.Errorf("one more than may wait: %v", got.err)
	}
	g.recorder.waiting.count.Add(-maxWaiting)
	if got := <-g.ask(key, media.Reload{Sequence: 9, Part: -1}); fault.KindOf(got.err) != fault.Invalid {
		t.Errorf("far ahead: %v", got.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := g.recorder.LiveManifest(ctx, key, next); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left: %v", err)
	}
	waits := g.ask(key, next)
	g.recorder.StopWaiting()
	if got := <-waits; got.err != nil || len(got.data) == 0 {
		t.Errorf("when the node stops: %v", got.err)
	}
	if n := g.recorder.waiting.count.Load(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
