package config

import (
	"slices"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	for _, tt := range []struct{ next, keys, restart string }{
		{"", "", ""},
		{"[recorder]\nauto_streams = []", "", ""},
		{"[log]\nlevel = 'debug'\n[recorder]\nauto_streams = ['a']", "log.level recorder.auto_streams", ""},
		{"[log]\nlevel = 'debug'\n[recorder.spool]\nuploads = 3", "log.level recorder.spool.uploads", "recorder.spool.uploads"},
		{"[auth]\ntokens = ['0123456789abcdef']\n[[auth.users]]\nname='a'\npassword_hash='$2a$10$abcdefghijklmnopqrstuuJ5E9gVqfHCTrdpjLLvNvLSfOdNd2Py2'\nrights=['view']\nstreams=['*']",
			"http.cors_origins auth.tokens auth.users", ""},
		{"[auth]\ntokens = ['0123456789abcdef']\n[http]\nbase_path = '/a'", "http.cors_origins http.base_path auth.tokens", "http.base_path"},
		{"[recorder.retention]\nmax_age_hours = 1\nmax_bytes = '1GB'\nmin_free_bytes = '1GB'\ncheck_seconds = 5",
			"recorder.retention.max_age_hours recorder.retention.max_bytes recorder.retention.min_free_bytes recorder.retention.check_seconds", ""},
	} {
		next, err := load("f", []byte(tt.next), nil)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := Default().Changes(next)
		if !slices.Equal(keys, strings.Fields(tt.keys)) || (err != nil) != (tt.restart != "") || err != nil && !strings.HasSuffix(err.Error(), "for "+tt.restart) {
			t.Errorf("%q: %q, %v", tt.next, keys, err)
		}
		if err != nil && strings.Contains(err.Error(), "0123456789") {
			t.Errorf("a secret is told: %v", err)
		}
	}
	if keys, err := DefaultLiveman().Changes(DefaultLiveman()); len(keys) > 0 || err != nil {
		t.Errorf("%q, %v", keys, err)
	}
}
