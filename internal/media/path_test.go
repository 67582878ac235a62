package media

import (
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
)

// TestHiddenCharacters: what is not seen is in no new name, works on in old ones, and
// is shown.
func TestHiddenCharacters(t *testing.T) {
	for _, hidden := range []rune{0x00ad, 0x061c, 0x200b, 0x200d, 0x200e, 0x202a, 0x202e, 0x2066, 0x2069, 0x2028, 0x2029, 0xfeff, 0xe0041} {
		id := "gpj." + string(hidden) + "x"
		if err := CheckStreamID(id); err != nil {
			t.Errorf("%U in an old id: %v", hidden, err)
		}
		if err := CheckNewStreamID(id); fault.KindOf(err) != fault.Invalid || strings.ContainsFunc(err.Error(), IsHidden) {
			t.Errorf("%U in a new id: %v", hidden, err)
		}
		if err := CheckNewPath("a/" + id); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%U in a new path: %v", hidden, err)
		}
		if shown := Show(id); strings.ContainsFunc(shown, IsHidden) || !strings.HasPrefix(shown, `gpj.\u{`) || !strings.HasSuffix(shown, "}x") {
			t.Errorf("%U is shown as %q", hidden, shown)
		}
	}
	for _, id := range []string{"camera", "相机", "кам 1", "é", "e\u0301", "👩🚒", "مرحبا"} {
		if err := CheckNewStreamID(id); err != nil || Show(id) != id {
			t.Errorf("%q: %v, shown as %q", id, err, Show(id))
		}
	}
	if err := CheckNewPath("a/b"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"a/b", "", "..", "a\x00"} {
		if fault.KindOf(CheckNewStreamID(bad)) != fault.Invalid {
			t.Errorf("%q is a new id", bad)
		}
	}
}
