package lipsync

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// What is made with an offset is found with that offset, and so are its seconds.
func TestFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		delay  string
		offset time.Duration
	}{
		{"together", "0", 0},
		{"late", "0.12", 120 * time.Millisecond},
		{"early", "-0.08", -80 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "media.mkv")
			on := "lt(mod(t-(" + tt.delay + "),1),0.1)*gt(t,0.5)"
			make := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin",
				"-f", "lavfi", "-i", "testsrc2=size=64x36:rate=30,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.1)*gt(t,0.5)'",
				"-f", "lavfi", "-i", "aevalsrc='if("+on+",0.5*sin(2*PI*1000*t),0)':s=48000",
				"-t", "5", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "libopus", file)
			if out, err := make.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			m, err := Find(t.Context(), "-i", file)
			if err != nil {
				t.Fatal(err)
			}
			offset, ok := m.Offset()
			if !ok || (offset-tt.offset).Abs() > 10*time.Millisecond || len(m.Flashes) != 4 || len(m.Offsets()) != 4 {
				t.Errorf("offset %v %v: %v %v", offset, ok, m.Flashes, m.Beeps)
			}
			if (m.Picture-5*time.Second).Abs() > 40*time.Millisecond || (m.Sound-5*time.Second).Abs() > 40*time.Millisecond {
				t.Errorf("%v of picture and %v of sound", m.Picture, m.Sound)
			}
			if m.Loud < 300*time.Millisecond || m.Loud > 2*time.Second {
				t.Errorf("%v of sound are loud", m.Loud)
			}
		})
	}
}

// What has no sound has an offset to nothing.
func TestNoSound(t *testing.T) {
	t.Parallel()
	m, err := Find(t.Context(), "-f", "lavfi", "-i", "testsrc2=size=64x36:rate=30:duration=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Offset(); ok || m.Sound != 0 || (m.Picture-time.Second).Abs() > time.Millisecond {
		t.Errorf("%+v", m)
	}
	if _, err := Find(t.Context(), "-i", filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a file that does not exist has nothing in it")
	}
}
