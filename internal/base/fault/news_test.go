package fault

import (
	"errors"
	"testing"
)

func TestNews(t *testing.T) {
	var n News
	away, full := errors.New("away"), errors.New("full")
	for i, tt := range []struct {
		err  error
		want bool
	}{{nil, false}, {away, true}, {away, false}, {full, true}, {nil, false}, {full, true}} {
		if got := n.Has(tt.err); got != tt.want {
			t.Errorf("try %d, %v: %v", i, tt.err, got)
		}
	}
}
