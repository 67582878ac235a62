package catalogue

import (
	"fmt"
	"strings"
	"testing"
)

// Details that were read are kept within bounds, nobody can change them, and others of the
// same recording are read anew.
func TestDecodedIsBounded(t *testing.T) {
	var d decoded
	text := []byte(`{"tracks":[{"kind":"video","gaps":[{"start":1,"duration":2}]}],"reason":"` + strings.Repeat("x", 1<<20) + `"}`)
	for i := range 20 {
		dir := fmt.Sprintf("camera/%d", i)
		for range 2 {
			r, err := d.of(dir, text)
			if err != nil || len(r.Tracks) != 1 || r.Tracks[0].Gaps[0].Duration != 2 {
				t.Fatalf("%+v, %v", r.Tracks, err)
			}
			r.Tracks[0].Gaps[0].Duration = 9
		}
	}
	kept := 0
	for _, m := range []map[string]details{d.young, d.old} {
		for _, k := range m {
			kept += len(k.text)
		}
	}
	if kept > maxDecoded || kept < maxDecoded/4 {
		t.Errorf("%d bytes are kept", kept)
	}
	if r, err := d.of("camera/19", []byte(`{"reason":"another"}`)); err != nil || r.Reason != "another" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := d.of("camera/19", []byte(`{"reason":`)); err == nil {
		t.Error("damaged details are no error")
	}
}
