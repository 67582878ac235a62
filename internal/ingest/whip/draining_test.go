package whip

import (
	"net/http"
	"testing"
)

// TestDraining wants new publishers to be refused, and viewers to come.
func TestDraining(t *testing.T) {
	n := newNode(t, Options{})
	n.whip.SetDraining(true)
	if resp, _ := n.do(http.MethodPost, "/whip/cam", typeSDP, "v=0"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a publisher: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := n.do(http.MethodPost, "/whep/cam", typeSDP, "v=0"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a viewer: %d", resp.StatusCode)
	}
	n.whip.SetDraining(false)
	if resp, _ := n.do(http.MethodPost, "/whip/cam", typeSDP, "v=0"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a publisher afterwards: %d", resp.StatusCode)
	}
}
