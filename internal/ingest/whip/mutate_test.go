package whip

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMutatedOffers: whatever is done to an offer that a program made, it is answered
// or refused with words, and is never a fault of the node.
func TestMutatedOffers(t *testing.T) {
	offers := []string{crlf(goodOffer), crlf(goodOffer + dataSection)}
	files, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no offers: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		offers = append(offers, string(text))
	}
	n := newNode(t, Options{MaxUnconnected: 1 << 20, addresses: machine()})
	for _, o := range offers {
		if res, text := n.do(http.MethodPost, "/whip/cam", typeSDP, o); res.StatusCode != http.StatusCreated {
			t.Errorf("as it is: %d %s\n%s", res.StatusCode, text, o)
		} else {
			n.do(http.MethodDelete, res.Header.Get("Location"), "", "")
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	answered := 0
	for i := range 1200 {
		o := mutate(r, offers[i%len(offers)], offers)
		res, text := n.do(http.MethodPost, "/whip/cam", typeSDP, o)
		switch {
		case res.StatusCode == http.StatusCreated:
			answered++
			n.do(http.MethodDelete, res.Header.Get("Location"), "", "")
		case res.StatusCode < 400 || res.StatusCode >= 500 || len(text) < 10:
			t.Fatalf("mutation %d: %d %q\n%s", i, res.StatusCode, text, o)
		}
	}
	if answered < 100 {
		t.Errorf("only %d of the offers are answered: the mutations show little", answered)
	}
}

// mutate changes an offer in a few places.
func mutate(r *rand.Rand, offer string, others []string) string {
	lines := strings.Split(strings.TrimSuffix(offer, "\r\n"), "\r\n")
	for range 1 + r.IntN(3) {
		at := r.IntN(len(lines))
		switch r.IntN(8) {
		case 0: // leave out
			lines = slices.Delete(lines, at, at+1)
		case 1: // twice
			lines = slices.Insert(lines, at, lines[at])
		case 2: // elsewhere
			lines = slices.Insert(lines, r.IntN(len(lines)), lines[at])
		case 3: // of another offer
			o := strings.Split(others[r.IntN(len(others))], "\r\n")
			lines = slices.Insert(lines, at, o[r.IntN(len(o)-1)])
		case 4: // another number
			numbers := []string{"0", "-1", "96", "102", "255", "4294967296", "x", ""}
			lines[at] = replaceNumber(r, lines[at], numbers[r.IntN(len(numbers))])
		case 5: // cut
			lines[at] = lines[at][:r.IntN(len(lines[at])+1)]
		case 6: // many more
			for i := range 50 {
				lines = slices.Insert(lines, at, replaceNumber(r, lines[at], strconv.Itoa(i)))
			}
		case 7: // other bytes
			b := []byte(lines[at])
			if len(b) > 0 {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			lines[at] = string(b)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// replaceNumber puts another number in the place of one of a line.
func replaceNumber(r *rand.Rand, line, with string) string {
	isDigit := func(c rune) bool { return '0' <= c && c <= '9' }
	var starts []int
	for i, c := range line {
		if isDigit(c) && (i == 0 || !isDigit(rune(line[i-1]))) {
			starts = append(starts, i)
		}
	}
	if len(starts) == 0 {
		return line
	}
	from := starts[r.IntN(len(starts))]
	to := from
	for to < len(line) && isDigit(rune(line[to])) {
		to++
	}
	return line[:from] + with + line[to:]
}
