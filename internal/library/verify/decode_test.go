package verify_test

import (
	"math"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/library/verify/verifytest"
)

func decode(t testing.TB, m verifytest.Memory) (*verify.Decoded, []verify.Problem) {
	t.Helper()
	d, err := verify.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	rec, err := verify.CheckRecording(t.Context(), m, verifytest.Dir)
	if err != nil {
		t.Fatal(err)
	}
	out, problems, err := d.Decode(t.Context(), m, rec)
	if err != nil {
		t.Fatal(err)
	}
	return out, problems
}

// Everything that was sent decodes, whatever its codec.
func TestDecode(t *testing.T) {
	for _, file := range []string{"h264_baseline.h264", "h264_high.h264", "h265.h265", "av1.ivf", "vp9.ivf", "vp8.ivf"} {
		t.Run(file, func(t *testing.T) {
			out, problems := decode(t, verifytest.Record(t, verifytest.SentLog(t, file, "opus_stereo.ogg", 3)).Write(t))
			if len(problems) > 0 || math.Abs(out.Picture-3) > 0.01 || math.Abs(out.Sound-3) > 0.03 || len(out.Parts) != 2 {
				t.Errorf("%+v with problems %v, want 3 s of both", out, problems)
			}
		})
	}
}

func TestDecodeDamage(t *testing.T) {
	log := verifytest.SentLog(t, "h264_high.h264", "opus_mono.ogg", 4)
	f := verifytest.Record(t, log)
	for i := 20; i < 40; i++ {
		data := f.Tracks[0].Samples[i].Data
		clear(data[len(data)/2:])
	}
	_, problems := decode(t, f.Write(t))
	if len(problems) == 0 || !strings.HasPrefix(problems[0].String(), "Period 0, Representation v: ") {
		t.Errorf("problems %v of pictures that are damaged", problems)
	}
}

func TestNoDecoder(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := verify.NewDecoder(); err == nil || !strings.Contains(err.Error(), "needs ffmpeg") {
		t.Errorf("error %v without ffmpeg", err)
	}
}
