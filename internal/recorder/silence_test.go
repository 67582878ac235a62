package recorder

import (
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/verify"
)

// Audio that comes when players have seen the Period without it has one of its
// own, and what was sent before that is in the ledger.
func TestLateAudio(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[1].off = true
	rec := g.start("camera", "")
	s.sendSteps(30 * time.Second)
	if data, _, ok := g.recorder.Manifest(rec.MPDPath); !ok || strings.Contains(string(data), `contentType="audio"`) {
		t.Fatal("want a published Period without audio")
	}
	s.send(500 * time.Millisecond)
	s.tracks[1].off = false
	asked := s.asked(0)
	s.sendSteps(10 * time.Second)
	if s.asked(0) == asked {
		t.Error("no key frame was asked for")
	}
	rec = g.stop("camera")
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 2 {
		t.Fatalf("periods %+v", got.Periods)
	}
	audio, sent := rec.Tracks[1], int64(len(s.log.Audio.Units))
	for i := range s.log.Audio.Units[:audio.FramesDropped] {
		s.log.Audio.Units[i].Lost = 1
	}
	g.compare(s.log, got, verify.CompareOptions{AllowLost: true})
	if got.Periods[1].Start > 31*time.Second+100*time.Millisecond || audio.Frames+audio.FramesDropped != sent {
		t.Errorf("%d packets were sent, period at %v: %+v", sent, got.Periods[1].Start, audio)
	}
}

// Video that is turned off: the audio goes on without it, in a Period that
// players need not wait for, and with rotation; so does audio that is. What
// comes back has a Period again.
func TestTrackGoesSilent(t *testing.T) {
	for off, name := range []string{"video", "audio"} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			rec := g.start("camera", "")
			s.sendSteps(10 * time.Second)
			s.tracks[off].off = true
			s.sendSteps(60 * time.Second)
			// What goes on is listed up to now.
			if info := g.recorder.Status("camera").Info; info.Periods != 2 || info.Duration < 66 {
				t.Errorf("%d periods, %v s", info.Periods, info.Duration)
			}
			data, _, _ := g.recorder.Manifest(rec.MPDPath)
			if i := strings.LastIndex(string(data), "<Period"); strings.Contains(string(data[i:]), `contentType="`+name+`"`) {
				t.Errorf("players wait for it:\n%s", data)
			}
			s.tracks[off].off = false
			s.sendSteps(10 * time.Second)
			rec = g.stop("camera")
			got := g.read(rec.RecordDir)
			report := verify.Compare(s.log, got, verify.CompareOptions{})
			for i, tr := range report.Tracks {
				if lacks := tr.Sent - tr.Matched; i != off && lacks > 0 || lacks > 60 || int64(lacks) != rec.Tracks[i].FramesDropped {
					t.Errorf("%s: %d of %d units, ledger %+v", tr.Kind, tr.Matched, tr.Sent, rec.Tracks[i])
				}
			}
			if d := holes(rec.Tracks[off])[causePause]; rec.Periods != 3 || d < 59.9 || d > 61.5 {
				t.Errorf("%d periods, pause of %v s", rec.Periods, d)
			}
			if report.AV.Last.Abs() > driftMin {
				t.Errorf("A/V error of %v", report.AV.Last)
			}
		})
	}
}

// Rotation does not wait for video that is off.
func TestRotationWithoutVideo(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 20 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.sendSteps(5 * time.Second)
	s.tracks[0].off = true
	for range 60 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	g.listed()
	for dir, rec := range g.catalogue.last {
		g.read(dir)
		if rec.Duration > 20.5 {
			t.Errorf("%s lasts %v s", dir, rec.Duration)
		}
	}
	if n := len(g.catalogue.last); n != 4 {
		t.Errorf("%d recordings of 65 s, want 4", n)
	}
}

// Both pause for long, and the audio alone comes back.
func TestAudioAloneComesBack(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.sendSteps(5 * time.Second)
	s.tracks[0].off = true
	s.pause(15 * time.Second)
	s.sendSteps(10 * time.Second)
	s.tracks[0].off = false
	s.sendSteps(5 * time.Second)
	rec := g.stop("camera")
	report := verify.Compare(s.log, g.read(rec.RecordDir), verify.CompareOptions{})
	if tr := report.Tracks[1]; tr.Matched != tr.Sent || holes(rec.Tracks[1])[causePause] < 14 {
		t.Errorf("%d of %d packets: %+v", tr.Matched, tr.Sent, rec.Tracks[1])
	}
	if rec.Duration < 34.5 {
		t.Errorf("35 s are %v s", rec.Duration)
	}
}

// Five minutes in which nothing comes are not filled with silence packet by
// packet, even if the video goes on in the middle of a GOP.
func TestLongPauseIsNotFilled(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3500 * time.Millisecond)
	s.pause(5 * time.Minute)
	s.sendSteps(5 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	report := verify.Compare(s.log, got, verify.CompareOptions{AllowFillers: true})
	audio := report.Tracks[1]
	if audio.Matched != audio.Sent || audio.Fillers > 10 || report.AV.Last.Abs() > driftMin {
		t.Errorf("%d of %d packets with %d fillers, A/V error of %v", audio.Matched, audio.Sent, audio.Fillers, report.AV.Last)
	}
	if d := holes(rec.Tracks[1])[causePause]; d < 299.9 || d > 300.2 {
		t.Errorf("pause of %v s", d)
	}
}

// Audio that was silent comes back just before the video, after a pause of
// both: they begin one Period.
func TestAudioComesBackWithVideo(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.sendSteps(4 * time.Second)
	s.tracks[1].off = true
	s.sendSteps(14 * time.Second)
	s.send(time.Second - 10*time.Millisecond) // up to a key frame
	s.tracks[1].off = false
	s.pause(12 * time.Second)
	s.tracks[0].next += 500 * time.Millisecond // the audio is first
	s.tracks[0].ts += 45000
	s.sendSteps(5 * time.Second)
	rec := g.stop("camera")
	report := verify.Compare(s.log, g.read(rec.RecordDir), verify.CompareOptions{})
	for i, tr := range report.Tracks {
		if lacks := tr.Sent - tr.Matched; lacks > 60 || int64(lacks) != rec.Tracks[i].FramesDropped {
			t.Errorf("%s: %d of %d units, ledger %+v", tr.Kind, tr.Matched, tr.Sent, rec.Tracks[i])
		}
	}
	if rec.Periods != 3 || report.AV.Last.Abs() > driftMin {
		t.Errorf("%d periods, A/V error of %v", rec.Periods, report.AV.Last)
	}
}

// Video that comes back later than the audio of its time, which has got into the
// time of their Period then, and goes on there behind less than a packet's hole.
func TestVideoComesBackLate(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.sendSteps(4 * time.Second)
	s.tracks[0].off = true
	s.sendSteps(15 * time.Second)
	s.send(time.Second - 10*time.Millisecond) // up to a key frame
	s.tracks[0].off = false
	s.tracks[0].delay = 300 * time.Millisecond
	s.send(300 * time.Millisecond)
	g.caughtUp("camera")
	s.tracks[1].ts += 480
	s.sendSteps(5 * time.Second)
	rec := g.stop("camera")
	// Not by read: what had got into the time of the next Period, which nothing told of
	// then, may be a segment behind the end of its own.
	got, err := verify.ReadRecording(t.Context(), g.store, rec.RecordDir)
	if err != nil {
		t.Fatal(err)
	}
	report := verify.Compare(s.log, got, verify.CompareOptions{MaxAV: -1})
	if tr := report.Tracks[1]; rec.Periods != 3 || tr.Matched != tr.Sent {
		t.Errorf("%d periods, %d of %d packets", rec.Periods, tr.Matched, tr.Sent)
	}
}
