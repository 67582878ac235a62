package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

// samples rebuilds the samples that packets carry, one per timestamp.
func samples(t *testing.T, codec string, packets []arrival) map[uint32][]byte {
	t.Helper()
	out := map[uint32][]byte{}
	h264 := &codecs.H264Packet{IsAVC: true}
	h265, av1 := &codecs.H265Depacketizer{}, &codecs.AV1Depacketizer{}
	for i := range packets {
		p := &packets[i]
		var (
			data []byte
			err  error
		)
		switch codec {
		case "H264":
			data, err = h264.Unmarshal(p.Payload)
			data = withoutParameterSets(data)
		case "H265":
			if data, err = h265.Unmarshal(p.Payload); err == nil && len(data) > 0 {
				data = h265Unit(splitNALs(data)).Sample
			}
		case "AV1":
			data, err = av1.Unmarshal(p.Payload)
		case "VP8":
			data, err = (&codecs.VP8Packet{}).Unmarshal(p.Payload)
		case "VP9":
			data, err = (&codecs.VP9Packet{}).Unmarshal(p.Payload)
		default:
			data = p.Payload
		}
		if err != nil {
			t.Fatalf("packet %d: %v", p.SequenceNumber, err)
		}
		out[p.Timestamp] = append(out[p.Timestamp], data...)
	}
	return out
}

func withoutParameterSets(sample []byte) []byte {
	var out []byte
	for len(sample) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(sample))
		if nalType := sample[4] & 0x1f; nalType != nalSPS && nalType != nalPPS {
			out = append(out, sample[:n]...)
		}
		sample = sample[n:]
	}
	return out
}

// checkUnits fails unless got holds exactly the units that the log has, but for
// those that were lost.
func checkUnits(t *testing.T, log *TrackLog, got map[uint32][]byte) {
	t.Helper()
	want := 0
	for i, u := range log.Units {
		if u.Lost > 0 {
			if sha256.Sum256(got[u.RTP]) == u.SHA256 {
				t.Errorf("%s unit %d arrived though %d packets were dropped", log.Kind, i, u.Lost)
			}
			continue
		}
		want++
		if sha256.Sum256(got[u.RTP]) != u.SHA256 || !bytes.Equal(got[u.RTP], u.SampleBytes) {
			t.Errorf("%s unit %d of %d (timestamp %d): %d bytes, want the %d that were sent",
				log.Kind, i, len(log.Units), u.Timestamp, len(got[u.RTP]), u.Size)
		}
	}
	if want == 0 {
		t.Errorf("no %s unit to compare", log.Kind)
	}
}

func TestPublishBitExact(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"h264_baseline.h264", "h264_slices.h264", "h264_high.h264", "h265.h265", "h265_slices.h265", "av1.ivf", "vp9.ivf", "vp8.ivf"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			video, audio := mediaFile(t, file), mediaFile(t, "opus_stereo.ogg")
			r := newReceiver(t, true, video)
			// Both clocks and both sequence numbers wrap during the run, and the video loops.
			log := r.publish(t.Context(), Options{
				Video: video, Audio: audio, Token: "secret", Pace: 8, Duration: 12 * time.Second,
				VideoSeq: 65530, AudioSeq: 65500, VideoTimestamp: 0xffff0000, AudioTimestamp: 0xfffffff0,
			})
			wantUnits := 12 * videoClock / int(video.Units[0].Duration)
			if n := len(log.Video.Units); n < wantUnits || n > wantUnits+1 {
				t.Errorf("%d video units, want %d for 12 s", n, wantUnits)
			}
			for _, l := range log.Tracks() {
				packets, duplicates, late := r.bySequence(l.Kind)
				// A machine that is too busy loses packets of its own, and gets them again.
				inOrder := duplicates == 0 && late == 0 || l.NACKs > 0
				if len(packets) != l.Packets || !inOrder {
					t.Errorf("%s: %d packets, %d duplicates, %d late; want the %d that were sent in order",
						l.Kind, len(packets), duplicates, late, l.Packets)
				}
				checkUnits(t, l, samples(t, l.Codec, packets))
				checkLog(t, l)
			}
			if first := r.packets[media.Video][0]; first.SequenceNumber != 65530 || first.Timestamp != 0xffff0000 {
				t.Errorf("first video packet is %d at %#x", first.SequenceNumber, first.Timestamp)
			}
			if !r.deleted || !reflect.DeepEqual(r.tokens, []string{"Bearer secret", "Bearer secret"}) {
				t.Errorf("deleted %v with tokens %q", r.deleted, r.tokens)
			}
		})
	}
}

// checkLog checks what must hold in every log.
func checkLog(t *testing.T, l *TrackLog) {
	t.Helper()
	if !l.Units[0].Key {
		t.Errorf("%s does not begin with a key frame", l.Kind)
	}
	for i, u := range l.Units[1:] {
		before := l.Units[i]
		ticks := media.Ticks(u.Timestamp - before.Timestamp)
		clock := u.NTP.Sub(l.Units[0].NTP)
		want := media.Ticks(u.Timestamp - l.Units[0].Timestamp).Duration(l.ClockRate)
		if ticks <= 0 || clock != want || u.RTP != uint32(u.Timestamp) {
			t.Fatalf("%s unit %d: %d ticks after the last, sender's clock %v, want %v", l.Kind, i+1, ticks, clock, want)
		}
	}
}

func TestMTU(t *testing.T) {
	t.Parallel()
	video := mediaFile(t, "h264_baseline.h264")
	r := newReceiver(t, true, video)
	log := r.publish(t.Context(), Options{Video: video, Pace: 20, Units: 40, MTU: 300})
	packets, _, _ := r.bySequence(media.Video)
	largest := 0
	for _, p := range packets {
		largest = max(largest, p.MarshalSize())
	}
	if largest != 300 {
		t.Errorf("largest packet has %d bytes, want 300", largest)
	}
	if len(log.Video.Units) != 40 {
		t.Errorf("%d units sent, want 40", len(log.Video.Units))
	}
	checkUnits(t, log.Video, samples(t, "H264", packets))
}

func TestSenderReports(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, video)
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, Pace: 10, Duration: 4 * time.Second, AudioTimestamp: 1 << 31,
		SenderReports: true, ClockOffset: -time.Hour, AudioDelay: 200 * time.Millisecond,
	})
	if d := time.Since(log.Started); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("sender's clock is %v behind, want an hour", d)
	}
	for _, l := range log.Tracks() {
		reports := r.reports[l.Kind]
		if len(reports) != 4 || l.Reports != 4 { // at 0.2, 1.2, 2.2 and 3.2 s
			t.Errorf("%s: %d reports sent, %d received, want 4", l.Kind, l.Reports, len(reports))
		}
		for _, sr := range reports {
			first := l.Units[0]
			want := first.NTP.Add(media.Ticks(int32(sr.RTPTime - first.RTP)).Duration(l.ClockRate))
			if d := media.NTPTime(sr.NTPTime).Sub(want); d < -2 || d > 2 {
				t.Errorf("%s report is %v beside the clock of the units", l.Kind, d)
			}
		}
	}
}

// A fast audio clock: more ticks in the same time, and reports that say so.
func TestAudioSkew(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "vp9.ivf"), mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, video)
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, Pace: 10, Duration: 4 * time.Second, AudioSkew: 20_000, SenderReports: true,
	})
	checkLog(t, log.Video)
	if n := len(log.Audio.Units); n != 204 {
		t.Errorf("%d audio packets in 4 s, want 204: 2 %% more", n)
	}
	first := log.Audio.Units[0]
	for i, u := range log.Audio.Units {
		want := time.Duration(float64(i)*float64(20*time.Millisecond)/1.02) - u.NTP.Sub(first.NTP)
		if want.Abs() > time.Microsecond || u.Timestamp != first.Timestamp+int64(i)*960 {
			t.Fatalf("unit %d at %v, timestamp %d", i, u.NTP.Sub(first.NTP), u.Timestamp)
		}
	}
	for _, sr := range r.reports[media.Audio] {
		ticks := float64(int32(sr.RTPTime - first.RTP))
		want := time.Duration(ticks / 48000 / 1.02 * 1e9)
		if d := media.NTPTime(sr.NTPTime).Sub(first.NTP) - want; d.Abs() > 50*time.Microsecond {
			t.Errorf("report is %v beside the clock of the units", d)
		}
	}
}

func TestReportsThatLie(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	base := Options{Audio: audio, Pace: 10, Duration: 4 * time.Second, SenderReports: true}
	lie, silent := base, base
	lie.LieAt, lie.LieBy = 2*time.Second, time.Minute
	silent.NoReportNTP = true
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), lie)
	for i, sr := range r.reports[media.Audio] {
		first := log.Audio.Units[0]
		truth := first.NTP.Add(media.Ticks(sr.RTPTime - first.RTP).Duration(48000))
		want := time.Duration(0)
		if i == 2 {
			want = time.Minute
		}
		if d := media.NTPTime(sr.NTPTime).Sub(truth) - want; d.Abs() > 2 {
			t.Errorf("report %d is %v beside the truth, want %v", i, d+want, want)
		}
	}
	r = newReceiver(t, false, nil)
	r.publish(t.Context(), silent)
	for _, sr := range r.reports[media.Audio] {
		if sr.NTPTime != 0 {
			t.Errorf("a report carries the clock %d, want 0", sr.NTPTime)
		}
	}
}

func TestWithoutSenderReports(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), Options{Audio: audio, Pace: 20, Duration: 4 * time.Second})
	if n := len(r.reports[media.Audio]); n != 0 || log.Audio.Reports != 0 {
		t.Errorf("%d reports, want none", n)
	}
}

func TestKeyFrameOnPLI(t *testing.T) {
	t.Parallel()
	video := mediaFile(t, "h264_baseline.h264")
	for _, obey := range []bool{true, false} {
		r := newReceiver(t, true, video)
		r.onPacket = func(pc *webrtc.PeerConnection, _ media.Kind, n int, p *rtp.Packet) {
			if n != 8 {
				return
			}
			if err := pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: p.SSRC}}); err != nil {
				t.Error(err)
			}
		}
		log := r.publish(t.Context(), Options{Video: video, Units: 29, Pace: 2, KeyFrameOnPLI: obey})
		keys := 0
		for _, u := range log.Video.Units {
			if u.Key {
				keys++
			}
		}
		want := 1
		if obey {
			want = 2
		}
		if len(log.Video.PLIs) != 1 || keys != want || (log.Video.Skipped > 0) != obey {
			t.Errorf("obey %v: %d PLIs, %d key frames, %d units skipped; want 1 and %d",
				obey, len(log.Video.PLIs), keys, log.Video.Skipped, want)
		}
		checkLog(t, log.Video)
		packets, _, _ := r.bySequence(media.Video)
		checkUnits(t, log.Video, samples(t, "H264", packets))
	}
}

func TestCancelEndsInOrder(t *testing.T) {
	t.Parallel()
	video := mediaFile(t, "vp9.ivf")
	r := newReceiver(t, true, video)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	log := r.publish(ctx, Options{
		// The stall would hold everything for an hour: the end must not wait for it.
		Video: video, Pace: 10, StallAt: time.Second, StallFor: time.Hour,
		OnUnit: func(media.Kind, SentUnit) {
			if n++; n == 60 {
				cancel()
			}
		},
	})
	if !r.deleted || len(log.Video.Units) < 60 || len(log.Video.Units) > 62 {
		t.Errorf("deleted %v, %d units; want a DELETE after 60", r.deleted, len(log.Video.Units))
	}
	packets, _, _ := r.bySequence(media.Video)
	checkUnits(t, log.Video, samples(t, "VP9", packets))
}

func TestNoDelete(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	log := r.publish(t.Context(), Options{Audio: audio, Pace: 10, Units: 20, NoDelete: true, NoUnits: true})
	if r.deleted || log.Audio.UnitCount != 20 || log.Audio.Units != nil {
		t.Errorf("deleted %v, counted %d, kept %d units", r.deleted, log.Audio.UnitCount, len(log.Audio.Units))
	}
}

func TestServerEndsSession(t *testing.T) {
	t.Parallel()
	audio := mediaFile(t, "opus_mono.ogg")
	r := newReceiver(t, false, nil)
	closed := make(chan struct{})
	r.onPacket = func(_ *webrtc.PeerConnection, _ media.Kind, n int, _ *rtp.Packet) {
		if n == 10 {
			go func() { r.close(); close(closed) }()
		}
	}
	p, err := New(Options{URL: r.url, Audio: audio})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log, err := p.Run(ctx)
	if err == nil || ctx.Err() != nil || len(log.Audio.Units) < 10 {
		t.Errorf("error %v after %d units, want one soon after 10", err, len(log.Audio.Units))
	}
	<-closed
}

func TestRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"no such stream"}`, http.StatusConflict)
	}))
	defer server.Close()
	p, err := New(Options{URL: server.URL, Audio: mediaFile(t, "opus_mono.ogg")})
	if err != nil {
		t.Fatal(err)
	}
	log, err := p.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "no such stream") || log == nil {
		t.Errorf("error %v, log %v; want the server's words and a log", err, log)
	}
}

func TestOptions(t *testing.T) {
	audio := &Source{Kind: media.Audio}
	const url = "http://127.0.0.1/whip/a"
	bad := map[string]Options{
		"no endpoint": {Audio: audio},
		"scheme":      {URL: "ftp://127.0.0.1/", Audio: audio},
		"no track":    {URL: url},
		"mixed up":    {URL: url, Video: audio},
		"MTU":         {URL: url, Audio: audio, MTU: 9000},
		"loss":        {URL: url, Audio: audio, Loss: 1.5},
		"skew":        {URL: url, Audio: audio, AudioSkew: 2e5},
		"negative":    {URL: url, Audio: audio, StallFor: -1},
	}
	for name, o := range bad {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Options{URL: url, Audio: audio}); err != nil {
		t.Error(err)
	}
}
