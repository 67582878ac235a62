package auth

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestHashCommand(t *testing.T) {
	for _, in := range []string{password, password + "\n", password + "\r\n", password + "\nmore\n"} {
		var out, prompt bytes.Buffer
		if err := HashCommand(strings.NewReader(in), &out, &prompt); err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		h, err := parseHash(strings.TrimSuffix(out.String(), "\n"))
		if err != nil || !h.matches([]byte(password)) || prompt.Len() > 0 {
			t.Errorf("%q: %v, %s, prompt %q", in, err, out.String(), prompt.String())
		}
	}
	for _, in := range []io.Reader{strings.NewReader(""), strings.NewReader("\n"), strings.NewReader("short\n"),
		strings.NewReader(strings.Repeat("x", maxPassword+1) + "\n"), iotest.ErrReader(errors.New("broken"))} {
		var out bytes.Buffer
		if err := HashCommand(in, &out, io.Discard); err == nil || out.Len() > 0 {
			t.Errorf("%v, %s", err, out.String())
		}
	}
}

func TestHashTyped(t *testing.T) {
	for _, tt := range []struct {
		typed []string
		ok    bool
	}{{[]string{password, password}, true}, {[]string{password, password + "x"}, false}, {[]string{password}, false}, {nil, false}} {
		var out bytes.Buffer
		err := hashTyped(func(string) (string, error) {
			if len(tt.typed) == 0 {
				return "", io.EOF
			}
			defer func() { tt.typed = tt.typed[1:] }()
			return tt.typed[0], nil
		}, true, &out)
		if (err == nil) != tt.ok || (out.Len() > 0) != tt.ok {
			t.Errorf("%v, %s", err, out.String())
		}
	}
}
