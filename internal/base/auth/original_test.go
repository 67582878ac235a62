package auth

import (
	"slices"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestOriginalJWT: tokens of the original live777 allow here what they allowed there, for
// one stream or all, and nothing beyond that.
func TestOriginalJWT(t *testing.T) {
	a := New(Options{Secret: secret, Now: clock})
	rights := func(r ...Right) []Right { return r }
	exp := now.Unix() + 60
	for _, tt := range []struct {
		name   string
		claims jwt.MapClaims
		stream string
		want   []Right
	}{
		{"subscribe", jwt.MapClaims{"id": "cam", "mode": 4}, "cam", rights(Subscribe, View)},
		{"publish", jwt.MapClaims{"id": "cam", "mode": 2}, "cam", rights(Publish)},
		{"manage", jwt.MapClaims{"id": "cam", "mode": 1}, "cam", rights(Record)},
		{"all of a stream is not admin", jwt.MapClaims{"id": "cam", "mode": 7}, "cam", rights(Publish, Subscribe, View, Record)},
		{"all of all", jwt.MapClaims{"id": "*", "mode": 7}, "cam", Rights()},
		{"some of all", jwt.MapClaims{"id": "*", "mode": 6}, "cam", rights(Publish, Subscribe, View)},
		{"higher bits mean nothing", jwt.MapClaims{"id": "cam", "mode": 0xf4}, "cam", rights(Subscribe, View)},
		{"another stream", jwt.MapClaims{"id": "cam", "mode": 7}, "cam2", nil},
		{"no wildcard", jwt.MapClaims{"id": "cam*", "mode": 7}, "cam2", nil},
		{"a star in a name", jwt.MapClaims{"id": "cam*", "mode": 2}, "cam*", rights(Publish)},
		{"a class in a name", jwt.MapClaims{"id": `a[b]?\`, "mode": 2}, `a[b]?\`, rights(Publish)},
		{"a class is no wildcard", jwt.MapClaims{"id": "a[b]", "mode": 7}, "ab", nil},
		{"no mode", jwt.MapClaims{"id": "*"}, "cam", nil},
		{"mode 0", jwt.MapClaims{"id": "*", "mode": 0}, "cam", nil},
		{"no id", jwt.MapClaims{"mode": 7}, "cam", nil},
		{"an empty id", jwt.MapClaims{"id": "", "mode": 7}, "cam", nil},
		{"a mode out of range", jwt.MapClaims{"id": "*", "mode": 263}, "cam", nil},
		{"a mode below 0", jwt.MapClaims{"id": "*", "mode": -1}, "cam", nil},
		{"a broken mode", jwt.MapClaims{"id": "*", "mode": 7.5}, "cam", nil},
		{"a mode in words", jwt.MapClaims{"id": "*", "mode": "7"}, "cam", nil},
		{"an id in a list", jwt.MapClaims{"id": []string{"*"}, "mode": 7}, "cam", nil},
		{"its own rights win", jwt.MapClaims{"id": "*", "mode": 7, "streams": []string{"cam"}, "rights": []string{"view"}}, "cam", rights(View)},
		{"rights without streams", jwt.MapClaims{"id": "*", "mode": 7, "rights": []string{"view"}}, "cam", nil},
		{"an empty list of streams", jwt.MapClaims{"id": "*", "mode": 7, "streams": []string{}}, "cam", nil},
		{"other claims of these names", jwt.MapClaims{"id": 5, "mode": "x", "streams": []string{"cam"}, "rights": []string{"view"}}, "cam", rights(View)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.claims["exp"] = exp
			r := request(t, "Bearer "+sign(t, jwt.SigningMethodHS256, []byte(secret), tt.claims))
			for _, right := range Rights() {
				if err := a.Authorize(r, right, tt.stream); (err == nil) != slices.Contains(tt.want, right) {
					t.Errorf("%s of %q: %v", right, tt.stream, err)
				}
			}
		})
	}

	for name, claims := range map[string]jwt.MapClaims{
		"no expiry": {"id": "*", "mode": 7},
		"expired":   {"id": "*", "mode": 7, "exp": now.Unix()},
	} {
		r := request(t, "Bearer "+sign(t, jwt.SigningMethodHS256, []byte(secret), claims))
		if err := a.Authorize(r, View, "cam"); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	r := request(t, "Bearer "+sign(t, jwt.SigningMethodHS256, []byte("the secret of another node"), jwt.MapClaims{"id": "*", "mode": 7, "exp": exp}))
	if err := a.Authorize(r, View, "cam"); err == nil {
		t.Error("another secret: let in")
	}
}
