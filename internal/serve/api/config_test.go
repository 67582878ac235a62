package api

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// TestConfig has administrators see the configuration, and nobody else.
func TestConfig(t *testing.T) {
	const text = "[http]\nlisten = \":7777\"\n"
	show := func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
	for name, h := range map[string]*node{
		"live777": newNode(t, func(o *Options) { withAuth(o); o.Config = show }),
		"liveman": newManager(t, func(o *ManagerOptions) { managerWithAuth(o); o.Config = show }),
	} {
		w := h.do(t, http.MethodGet, "/api/config", "", "Authorization", "Bearer "+token)
		var got configuration
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.TOML != text {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, err)
		}
		if w := h.do(t, http.MethodGet, "/api/config", ""); w.Code != 401 {
			t.Errorf("%s without a token: %d", name, w.Code)
		}
	}
}
