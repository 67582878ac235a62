package fault

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"
)

func TestCode(t *testing.T) {
	gone := New(NotFound, "no such stream").Coded("stream_unknown")
	named := Errorf(NotFound, "no node %q", "a").Coded("node_unknown", "node", "a", "n", 3)
	wait := Waitf(TooMany, 90*time.Second, "wait %d seconds").Coded("login_wait")
	for _, tt := range []struct {
		err    error
		code   string
		params map[string]any
	}{
		{io.EOF, "internal", nil},
		{New(Conflict, "it runs"), "conflict", nil},
		{gone, "stream_unknown", nil},
		{fmt.Errorf("watch: %w", gone), "stream_unknown", nil},
		{Errorf(Unavailable, "node: %w", named), "node_unknown", map[string]any{"node": "a", "n": 3}},
		{errors.Join(io.EOF, named, gone), "node_unknown", map[string]any{"node": "a", "n": 3}},
		{fmt.Errorf("%w: %w", New(StorageFull, "full"), io.EOF), "storage_full", nil},
		{wait, "login_wait", map[string]any{"seconds": 90}},
	} {
		if code, params := Code(tt.err); code != tt.code || !maps.Equal(params, tt.params) {
			t.Errorf("the code of %q is %q with %v, want %q with %v", tt.err, code, params, tt.code, tt.params)
		}
	}
	for k := range codes {
		if Kind(k).Code() == "" {
			t.Errorf("kind %d has no code", k)
		}
	}
}
