package load

import (
	"bytes"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/media"
)

// Every row has a name of its own, says what it is, and makes a publisher.
func TestProfiles(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, p := range Profiles {
		if p.Name == "" || p.What == "" || len(p.Pictures) == 0 || names[p.Name] {
			t.Errorf("%+v is not a profile, or has the name of another", p)
		}
		names[p.Name] = true
		o := Options{URL: "http://127.0.0.1:1/whip/a", Audio: mediaFile(t, "opus_stereo.ogg")}
		if len(p.Pictures) == 1 {
			o.Video = mediaFile(t, "h264_baseline.h264") // encoding takes a while
		}
		for i := range p.Pictures {
			p.Pictures = slices.Clone(p.Pictures)
			p.Pictures[i].Size, p.Pictures[i].Seconds = "64x36", 1
		}
		if err := p.Apply(t.Context(), &o); err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if _, err := New(o); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// Parameter sets with other ids decode to the same pictures.
func TestNewIDs(t *testing.T) {
	t.Parallel()
	src, err := Picture{Size: "128x72", GOP: 5, Seconds: 8}.Encode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changed, err := src.NewIDs()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(changed.ParameterSets); n < maxSPSID { // 48 key frames
		t.Errorf("%d parameter sets", n)
	}
	if want, got := pictures(t, src), pictures(t, changed); want != got {
		t.Errorf("the pictures were\n%s\nand are\n%s", want, got)
	}
	if _, err := mediaFile(t, "h264_high.h264").NewIDs(); err == nil {
		t.Error("CABAC was moved by bits")
	}
}

// pictures returns the checksums of what ffmpeg decodes.
func pictures(t *testing.T, src *Source) string {
	t.Helper()
	var data []byte
	for _, u := range src.Units {
		data = append(data, u.Data...)
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-f", "framemd5", "-")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Count(out, []byte("\n")) < len(src.Units) {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestOrderOfNALs(t *testing.T) {
	t.Parallel()
	src := mediaFile(t, "h264_baseline.h264")
	first, err := src.SEIFirst()
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range first.Units {
		if types := nalTypes(u.Data); u.Key && types[:3] != "678" {
			t.Errorf("unit %d: %s", i, types)
		}
	}
	once, err := src.SetsOnce()
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range once.Units {
		if has := strings.Contains(nalTypes(u.Data), "7"); has != (i == 0) {
			t.Errorf("unit %d: parameter sets: %v", i, has)
		}
	}
	if _, err := mediaFile(t, "vp9.ivf").SEIFirst(); err == nil {
		t.Error("VP9 has no SEI")
	}
}

// nalTypes is a digit for each NAL unit of a byte stream.
func nalTypes(data []byte) (types string) {
	for _, nal := range splitNALs(data) {
		types += string('0' + rune(nal[0]&nalTypeMask))
	}
	return types
}

// What is packetized in other ways than the library's is the same, in its order.
func TestPacketization(t *testing.T) {
	t.Parallel()
	src := mediaFile(t, "h264_baseline.h264")
	for _, p := range []Packetization{PacketizeSingle, PacketizeAggregate} {
		pay, err := payloader("H264", p, 0)
		if err != nil {
			t.Fatal(err)
		}
		together := false
		for i, u := range src.Units {
			var got []byte
			depacketizer := &codecs.H264Packet{}
			for _, payload := range pay.Payload(100, u.Data) {
				if len(payload) > 100 {
					t.Fatalf("a packet of %d bytes", len(payload))
				}
				together = together || payload[0]&nalTypeMask == stapA
				data, err := depacketizer.Unmarshal(payload)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, data...)
			}
			if !slices.EqualFunc(splitNALs(got), splitNALs(u.Data), bytes.Equal) {
				t.Fatalf("unit %d was %s and is %s", i, nalTypes(u.Data), nalTypes(got))
			}
		}
		if together != (p == PacketizeAggregate) {
			t.Errorf("way %d: NAL units together: %v", p, together)
		}
	}
}

// A track that is off sends nothing, its clock runs on, and video comes back with a key frame.
func TestTrackOff(t *testing.T) {
	t.Parallel()
	video, audio := mediaFile(t, "h264_baseline.h264"), mediaFile(t, "opus_stereo.ogg")
	r := newReceiver(t, false, video)
	off := Span{300 * time.Millisecond, 500 * time.Millisecond}
	log := r.publish(t.Context(), Options{
		Video: video, Audio: audio, VideoOff: off, AudioOff: Span{0, 600 * time.Millisecond}, Duration: 1200 * time.Millisecond,
	})
	units := log.Video.Units
	if len(units) != 21 || !units[9].Key || units[9].Timestamp != 24*3000 { // 0 to 8, and 24 to 35
		t.Errorf("%d units, the tenth at %d", len(units), units[9].Timestamp)
	}
	if len(log.Audio.Units) != 30 || log.Audio.Units[0].Timestamp != 30*960 {
		t.Errorf("%d audio units from %d on", len(log.Audio.Units), log.Audio.Units[0].Timestamp)
	}
	packets, _, _ := r.bySequence(media.Video)
	checkUnits(t, log.Video, samples(t, "H264", packets))
}

// The video gets another SSRC, and begins there with a key frame. The receiver
// is not told and takes it for nothing, so that the network is looked at.
func TestRenameSource(t *testing.T) {
	t.Parallel()
	d := newDropper()
	var seen []uint32
	w := d.BindLocalStream(nil, interceptor.RTPWriterFunc(func(h *rtp.Header, _ []byte, _ interceptor.Attributes) (int, error) {
		seen = append(seen, h.SSRC)
		return 0, nil
	}))
	write := func() {
		t.Helper()
		if _, err := w.Write(&rtp.Header{SSRC: 1}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	write()
	d.rename(1, 7)
	write()
	if !slices.Equal(seen, []uint32{1, 7}) {
		t.Errorf("SSRCs %v", seen)
	}
	src := mediaFile(t, "h264_baseline.h264")
	r := newReceiver(t, false, src)
	log := r.publish(t.Context(), Options{Video: src, SSRCAt: 200 * time.Millisecond, Units: 12})
	if packets, _, _ := r.bySequence(media.Video); len(packets) >= log.Video.Packets || !log.Video.Units[6].Key {
		t.Errorf("%d of %d packets have the first SSRC; the unit at the change is a key frame: %v",
			len(packets), log.Video.Packets, log.Video.Units[6].Key)
	}
}

// Reports carry a clock that is late by another time each, or that has no fraction.
func TestReportClocks(t *testing.T) {
	t.Parallel()
	src := mediaFile(t, "h264_baseline.h264")
	for name, o := range map[string]Options{
		"late":    {ReportLate: Late{30 * time.Millisecond, 75 * time.Millisecond}},
		"seconds": {ReportSeconds: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, false, src)
			o.Video, o.SenderReports, o.ReportInterval, o.Duration = src, true, 100*time.Millisecond, time.Second
			log := r.publish(t.Context(), o)
			errors := map[time.Duration]bool{}
			for _, sr := range r.reports[media.Video] {
				truth := log.Started.Add(media.Ticks(sr.RTPTime).Duration(src.ClockRate))
				off := sr.NTPTime - media.NTP(truth)
				ms := (time.Duration(int64(off)) * 1000 >> 32) * time.Millisecond
				errors[ms] = true
				if o.ReportSeconds && uint32(sr.NTPTime) != 0 || !o.ReportSeconds && (ms < 29*time.Millisecond || ms > 75*time.Millisecond) {
					t.Errorf("a report with %x, which is %v late", sr.NTPTime, ms)
				}
			}
			if len(errors) < 3 {
				t.Errorf("reports are late by %v", errors)
			}
		})
	}
}

// A publisher that moves to another port, or is gone, tells nobody.
func TestSocket(t *testing.T) {
	t.Parallel()
	s, err := newSocket(&Options{URL: "http://127.0.0.1:1/", RebindAt: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	peer, err := newSocket(&Options{URL: "http://127.0.0.1:1/", Vanish: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	buf := make([]byte, 10)
	from := func() string {
		t.Helper()
		if _, err := s.WriteTo([]byte("x"), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		_, addr, err := peer.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		return addr.String()
	}
	before := from()
	if err := s.rebind(); err != nil {
		t.Fatal(err)
	}
	if after := from(); before != s.LocalAddr().String() || after == before {
		t.Errorf("sent from %s, and then from %s", before, after)
	}
	s.vanish()
	if _, err := s.WriteTo([]byte("gone"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	other, err := newSocket(&Options{URL: "http://127.0.0.1:1/", Vanish: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.WriteTo([]byte("y"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := peer.ReadFrom(buf); err != nil || string(buf[:n]) != "y" {
		t.Errorf("%q %v", buf[:n], err)
	}
}

// A log with layers is read back as it was.
func TestLayersInLog(t *testing.T) {
	t.Parallel()
	layer := func(rid string) *TrackLog { return &TrackLog{Kind: media.Video, Codec: "H264", RID: rid} }
	log := &Log{Video: layer("0"), Layers: []*TrackLog{layer("1"), layer("2")}, Audio: &TrackLog{Kind: media.Audio}}
	var buf bytes.Buffer
	if err := log.Export(&buf); err != nil {
		t.Fatal(err)
	}
	back, err := ReadLog(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Layers) != 2 || back.Layer(2).Video.RID != "2" || back.Layer(0).Video.RID != "0" || back.Audio == nil {
		t.Errorf("%+v", back)
	}
}

// Pictures that are sent in another order than they are shown have each a time of their
// own, and it is that at which ffmpeg shows them.
func TestReordered(t *testing.T) {
	t.Parallel()
	src, err := Picture{Size: "128x72", GOP: 25, Profile: "high", BFrames: 2, SAR: "16/11", Seconds: 3}.Encode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	var times []media.Ticks
	at := media.Ticks(0)
	for _, u := range src.Units {
		data = append(data, u.Data...)
		times = append(times, (at+u.Composition)/u.Duration)
		at += u.Duration
	}
	// Frames come in the order of being shown, with the place of their unit.
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-f", "h264", "-i", "-", "-show_entries", "frame=pkt_pos", "-of", "csv=p=0")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe (Debian package ffmpeg): %v: %s", err, out)
	}
	var places []int
	for line := range strings.FieldsSeq(string(out)) {
		place, err := strconv.Atoi(strings.Trim(line, ","))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	sent := slices.Sorted(slices.Values(places))
	want := make([]media.Ticks, len(times))
	for i, place := range places {
		unit, _ := slices.BinarySearch(sent, place)
		want[unit] = media.Ticks(i)
	}
	if !slices.Equal(times, want) || slices.IsSorted(times) {
		t.Errorf("pictures are shown at\n%v, want\n%v", times, want)
	}
}
