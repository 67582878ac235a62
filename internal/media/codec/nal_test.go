package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// sample makes length-prefixed NAL units.
func sample(nals ...[]byte) (s []byte) {
	for _, n := range nals {
		s = binary.BigEndian.AppendUint32(s, uint32(len(n)))
		s = append(s, n...)
	}
	return s
}

// bitWriter makes bit strings of what a parameter set has.
type bitWriter struct{ strings.Builder }

// u writes v in n bits.
func (w *bitWriter) u(n int, v uint64) { fmt.Fprintf(w, "%0*b", n, v) }

// ue writes Exp-Golomb codes.
func (w *bitWriter) ue(values ...int) {
	for _, v := range values {
		b := fmt.Sprintf("%b", v+1)
		w.WriteString(strings.Repeat("0", len(b)-1) + b)
	}
}

// bytes returns the bits with rbsp_trailing_bits, after header.
func (w *bitWriter) bytes(header ...byte) []byte {
	bits := w.String() + "1" + strings.Repeat("0", 7)
	for ; len(bits) >= 8; bits = bits[8:] {
		var b byte
		for _, c := range bits[:8] {
			b = b<<1 | byte(c-'0')
		}
		header = append(header, b)
	}
	return header
}

func TestUnescape(t *testing.T) {
	got := unescape(make([]byte, 0, 8), []byte{0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 9, 9, 9})
	if want := []byte{0, 0, 1, 0, 0, 0, 0, 3}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestGuard(t *testing.T) {
	_, err := guard("a set", nil, func(data []byte) (byte, error) { return data[7], nil })
	if err == nil || !strings.Contains(err.Error(), "a set: ") {
		t.Errorf("a panic became %v", err)
	}
}
