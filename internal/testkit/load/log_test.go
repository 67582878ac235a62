package load

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

func TestExportAndReadLog(t *testing.T) {
	src := mediaFile(t, "vp9.ivf")
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	unit := func(ts int64, u AccessUnit) SentUnit {
		return SentUnit{
			Timestamp: ts, RTP: uint32(ts), Key: u.Key, SampleBytes: u.Sample, Size: len(u.Sample), SHA256: u.SHA256,
			Sent: start, NTP: start.Add(time.Duration(ts)), Lost: 1,
		}
	}
	log := &Log{
		URL: "http://127.0.0.1/whip/a", Started: start, Ended: start.Add(time.Second),
		Video: &TrackLog{
			Kind: media.Video, Codec: "VP9", ClockRate: 90000, UnitCount: 2, ParameterSets: [][]byte{{1, 2}},
			Units:   []SentUnit{unit(0, src.Units[0]), unit(1<<32+3000, src.Units[1])},
			Dropped: []Dropped{{Seq: 4, Timestamp: 5, Final: true, Time: start}},
		},
		Audio: &TrackLog{Kind: media.Audio, Codec: "opus", ClockRate: 48000, PLIs: []time.Time{start}},
	}
	var first, second bytes.Buffer
	if err := log.Export(&first); err != nil {
		t.Fatal(err)
	}
	back, err := ReadLog(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Export(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("exported again:\n%s\nwant\n%s", second.String(), first.String())
	}
	if u := back.Video.Units[1]; u.Timestamp != 1<<32+3000 || u.RTP != 3000 || u.SHA256 != src.Units[1].SHA256 || u.SampleBytes != nil {
		t.Errorf("unit read back: %+v", u)
	}
	if n := strings.Count(first.String(), "\n"); n != 5 {
		t.Errorf("%d lines, want 5", n)
	}
}

func TestReadLogRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"no JSON":            "x",
		"unit first":         `{"unit":{}}`,
		"unit without track": `{"log":{}}` + "\n" + `{"unit":{}}`,
		"bad digest":         `{"log":{}} {"track":{"kind":1}} {"unit":{"sha256":"00"}}`,
		"unknown kind":       `{"log":{}} {"track":{"kind":7}}`,
		"two logs":           `{"log":{}} {"log":{}}`,
	} {
		if _, err := ReadLog(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add(`{"log":{"url":"a"}}` + "\n" + `{"track":{"kind":2,"codec":"opus"}}` + "\n" +
		`{"unit":{"timestamp":1,"sha256":"` + strings.Repeat("0", 64) + `"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := ReadLog(strings.NewReader(text)); err == nil && l == nil {
			t.Error("neither a log nor an error")
		}
	})
}
