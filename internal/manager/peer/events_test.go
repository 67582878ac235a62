package peer

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r io.Reader) (events []string, err error) {
	err = ReadEvents(r, func(data []byte) error {
		events = append(events, string(data))
		return nil
	})
	return events, err
}

func TestReadEvents(t *testing.T) {
	long := strings.Repeat("x", 300_000) // longer than what is read at once
	for text, want := range map[string][]string{
		"":                               nil,
		"data: a\n\n":                    {"a"},
		"data:a\n\ndata: b\n\n":          {"a", "b"},
		"data: a\r\ndata: b\r\n\r\n":     {"a\nb"},
		":\n\nid: 7\ndata: a\n\n:\n\n":   {"a"},
		"event: x\n\ndata\n\ndata: a\n":  nil,
		"data: \n\n":                     {""},
		"data: " + long + "\n\n:x\n":     {long},
		"retry: 5\ndata: {\"a\":1}\n\n ": {`{"a":1}`},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "by bytes": iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := readAll(r); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
				t.Errorf("%.40q %s: %.40q %v", text, name, got, err)
			}
		}
	}
	if _, err := readAll(endless{}); !errors.Is(err, errEventTooLong) {
		t.Errorf("an event without end: %v", err)
	}
	if _, err := readAll(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that breaks off: %v", err)
	}
	stop := errors.New("enough")
	if err := ReadEvents(strings.NewReader("data: a\n\n"), func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a handler that has enough: %v", err)
	}
}

// endless is an event stream whose first event does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "data: xxxxxxxxx\n"[i%16]
	}
	return len(p) / 16 * 16, nil
}

func FuzzReadEvents(f *testing.F) {
	f.Add("data: a\n\n:\n\nid: 1\ndata: b\ndata: c\r\n\r\n")
	f.Add("data\n\ndata:\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := readAll(strings.NewReader(text))
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%v", err)
		}
		parts, _ := readAll(iotest.HalfReader(strings.NewReader(text)))
		if !slices.Equal(whole, parts) {
			t.Fatalf("%q, and in parts %q", whole, parts)
		}
		for _, event := range whole {
			if strings.Contains(event, "\r\n") || len(event) > len(text) {
				t.Fatalf("an event %q", event)
			}
		}
	})
}
