package media_test

import (
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

var spanNow = time.Date(2026, 12, 2, 3, 0, 0, 500e6, time.UTC)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.UTC()
}

func TestParseTimeSpan(t *testing.T) {
	for _, c := range []struct{ from, to, wantFrom, wantTo string }{
		{"2026-11-30T14:30:00Z", "2026-11-30T14:35:00Z", "2026-11-30T14:30:00Z", "2026-11-30T14:35:00Z"},
		{"2026-11-30T14:30:00.25+02:00", "+30s", "2026-11-30T12:30:00.25Z", "2026-11-30T12:30:30.25Z"},
		{"2026-11-30t14:30:00z", "+1h30m", "2026-11-30T14:30:00Z", "2026-11-30T16:00:00Z"},
		// A query has made the plus signs spaces, or the T was one.
		{"2026-11-30T14:30:00 02:00", " 90.5", "2026-11-30T12:30:00Z", "2026-11-30T12:31:30.5Z"},
		{"2026-11-30 14:30:00 02:00", "now", "2026-11-30T12:30:00Z", "2026-12-02T03:00:00.5Z"},
		{"1796160000", "1796160001.000000001", "2026-12-01T21:20:00Z", "2026-12-01T21:20:01.000000001Z"},
		{"-30s", "now", "2026-12-02T02:59:30.5Z", "2026-12-02T03:00:00.5Z"},
		{"-60", "2026-11-30T14:30:00Z", "2026-11-30T14:29:00Z", "2026-11-30T14:30:00Z"},
		{"0", "1", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"},
	} {
		got, err := media.ParseTimeSpan(c.from, c.to, spanNow, nil)
		want := media.TimeSpan{From: at(t, c.wantFrom), To: at(t, c.wantTo), Live: c.to == "now"}
		if err != nil || got != want {
			t.Errorf("from %q to %q: got %v, %v, want %v", c.from, c.to, got, err, want)
		}
	}
}

func TestParseTimeSpanWithZone(t *testing.T) {
	zone := time.FixedZone("", 3600)
	got, err := media.ParseTimeSpan("2026-11-30T14:30", "2026-12-01", spanNow, zone)
	if want := (media.TimeSpan{From: at(t, "2026-11-30T13:30:00Z"), To: at(t, "2026-11-30T23:00:00Z")}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	got, err = media.ParseTimeSpan("2026-11-30T14:30:00Z", "+5m", spanNow, zone)
	if want := (media.TimeSpan{From: at(t, "2026-11-30T14:30:00Z"), To: at(t, "2026-11-30T14:35:00Z")}); err != nil || got != want {
		t.Errorf("a time that has a zone: got %v, %v, want %v", got, err, want)
	}
}

func TestParseTimeSpanErrors(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"", "now", "from is missing"},
		{"0", "", "to is missing"},
		{"-30s", "+30s", "both durations"},
		{"2026-11-30T14:30:00Z", "2026-11-30T14:29:59Z", "to is before from"},
		{"100", "100", "the span is empty"},
		{"2026-12-02T04:00:00Z", "now", "from is in the future"},
		{"now", "+30s", `from "now" is no time`},
		{"2026-11-30T14:30:00", "now", `from "2026-11-30T14:30:00" is no time`},
		{"0", "tomorrow", `to "tomorrow" is no time`},
		{"0", "+", `to: "" is no duration`},
		{"0", "+-5s", "no duration"},
		{"0", "++5s", "no duration"},
		{"0", "+0s", "no duration"},
		{"-1h", "5", "from is before 1970"},
		{"0", "1.", "no time"},
		{"0", "1.0000000001", "no time"},
		{"0", "-1", "no time"},
		{"0", "99999999999999", "no time"},
		{"253402300799", "+2s", "after the year 9999"},
		{"0001-01-01T00:00:00Z", "now", "no time"}, // the zero time means no bound elsewhere
		{strings.Repeat("9", 1000), "now", "no time"},
	} {
		_, err := media.ParseTimeSpan(c.from, c.to, spanNow, nil)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("from %.40q to %q: got %v, want a fault.Invalid with %q", c.from, c.to, err, c.want)
		}
	}
}

func FuzzParseTimeSpan(f *testing.F) {
	f.Add("2026-11-30T14:30:00Z", "+30s")
	f.Add("2026-11-30 14:30:00 02:00", "now")
	f.Add("1796160000.5", "1796160001")
	f.Add("-1h", "9999-12-31T23:59:59Z")
	f.Fuzz(func(t *testing.T, from, to string) {
		s, err := media.ParseTimeSpan(from, to, spanNow, nil)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%v is no fault.Invalid", err)
			}
			return
		}
		if !s.From.Before(s.To) {
			t.Errorf("%v is empty", s)
		}
		again, err := media.ParseTimeSpan(s.From.Format(time.RFC3339Nano), s.To.Format(time.RFC3339Nano), spanNow, nil)
		again.Live = s.Live
		if err != nil || again != s {
			t.Errorf("%v is read back as %v, %v", s, again, err)
		}
	})
}
