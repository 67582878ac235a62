package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestPrefixes: every stream that a grant is for begins with one of the prefixes.
func TestPrefixes(t *testing.T) {
	for _, tt := range []struct {
		streams []string
		want    []string
	}{
		{nil, []string{}},
		{[]string{"*"}, []string{""}},
		{[]string{"room-*"}, []string{"room-"}},
		{[]string{"room-*", "hall", "room-1", "room-[a-c]", "room"}, []string{"hall", "room"}},
		{[]string{"b?", "a*", "b"}, []string{"a", "b"}},
		{[]string{"cam", "*-front"}, []string{""}},
		{[]string{`a\*b`, "cam"}, []string{"a", "cam"}}, // the star itself, escaped
	} {
		g := &Grant{streams: tt.streams, rights: []Right{View}}
		got := g.Prefixes()
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: prefixes %q, want %q", tt.streams, got, tt.want)
		}
		for _, stream := range []string{"room-1", "room-a", "room", "hall", "hall-2", "b1", "b", "a", "cam", "cam-front", "a*b", "ab"} {
			within := slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(stream, p) })
			if g.Allows(View, stream) == nil && !within {
				t.Errorf("%q is for %q, which begins with none of %q", tt.streams, stream, got)
			}
		}
		if fmt.Sprint(g.streams) != fmt.Sprint(tt.streams) {
			t.Errorf("the grant is for %q now", g.streams)
		}
	}
}
