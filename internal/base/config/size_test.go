package config

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1000": 1000, "17B": 17, "10GiB": 10 << 30, "500MB": 500e6, "1.5 TiB": 3 << 39, " 64 kB ": 64e3,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "ten", "1e300TiB", "NaN", "Inf", "5 GiB/s", "10gib"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, no error", text, got)
		}
	}
}
