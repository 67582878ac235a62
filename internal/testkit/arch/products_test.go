package arch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pion is the owner of the modules of the WebRTC stack.
const pion = "github.com/pion/"

// product is a program that users run.
type product struct {
	name   string
	webRTC bool // carries media, and so links the WebRTC stack
}

var products = []product{{"live777", true}, {"liveman", false}}

// TestProducts holds what the programs link: no test tools and, where no media is
// carried, no WebRTC, in the build with the recorder and in the one without.
func TestProducts(t *testing.T) {
	tools := testTools(t)
	for _, tags := range []string{"", "norecorder"} {
		for _, p := range products {
			linked := strings.Fields(string(run(t, "go", "list", "-deps", "-tags", tags, "./cmd/"+p.name)))
			for _, message := range checkLinked(p, tools, linked) {
				t.Errorf("with the tags %q, %s", tags, message)
			}
		}
	}
}

// TestProductsFindsTools proves that the check above can fail.
func TestProductsFindsTools(t *testing.T) {
	tools := []string{"load", "cmd/liveload"}
	for _, test := range []struct {
		name    string
		product product
		linked  []string
		want    string // part of the only message; "" for none
	}{
		{"media", product{"node", true}, []string{"fmt", module + "internal/node", pion + "rtp"}, ""},
		{"no media", product{"manager", false}, []string{"fmt", module + "internal/manager"}, ""},
		{"WebRTC", product{"manager", false}, []string{"fmt", pion + "rtp", pion + "ice/v4"}, "links 2 packages of pion"},
		{"tool", product{"node", true}, []string{module + "internal/testkit/load", pion + "rtp"}, "links the test tool load"},
		{"program", product{"node", true}, []string{module + "cmd/liveload"}, "links the test tool cmd/liveload"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := checkLinked(test.product, tools, test.linked)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want one message with %q", got, test.want)
			}
		})
	}
}

// checkLinked returns a message for everything that a product should not link.
func checkLinked(p product, tools, linked []string) []string {
	var messages []string
	stack := slices.DeleteFunc(slices.Clone(linked), func(path string) bool { return !strings.HasPrefix(path, pion) })
	if !p.webRTC && len(stack) > 0 {
		messages = append(messages, fmt.Sprintf("%s links %d packages of pion, %s first: it carries no media", p.name, len(stack), stack[0]))
	}
	for _, path := range linked {
		if name := shortName(path); strings.HasPrefix(path, module) && slices.Contains(tools, name) {
			messages = append(messages, fmt.Sprintf("%s links the test tool %s: keep that to tests", p.name, name))
		}
	}
	return messages
}

// testTools returns the packages of the last floor of ARCHITECTURE.md.
func testTools(t *testing.T) []string {
	t.Helper()
	var tools []string
	for _, f := range parseFloors(read(t, document)) {
		if f.name == toolsFloor {
			tools = f.packages
		}
	}
	for _, tool := range []string{"compare", "load", "storagetest"} {
		if !slices.Contains(tools, tool) {
			t.Fatalf("%s: %s is not on the floor %s", document, tool, toolsFloor)
		}
	}
	return tools
}
