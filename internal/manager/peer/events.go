package peer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

var errEventTooLong = fmt.Errorf("an event is longer than %d bytes", MaxEvent)

// ReadEvents calls handle with the data of each event of an event stream (HTML
// Living Standard, "Server-sent events") until that ends, which is io.EOF, or
// handle returns an error. Other fields than data mean nothing here. handle does
// not keep the data.
func ReadEvents(r io.Reader, handle func(data []byte) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	var event, line []byte
	has := false
	for {
		part, err := lines.ReadSlice('\n')
		line = append(line, part...)
		if len(line)+len(event) > MaxEvent {
			return errEventTooLong
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err // an event that is not ended by an empty line is none
		}
		text := bytes.TrimRight(line, "\r\n")
		line = line[:0]
		if len(text) == 0 {
			if has {
				if err := handle(event); err != nil {
					return err
				}
			}
			event, has = event[:0], false
			continue
		}
		data, ok := bytes.CutPrefix(text, []byte("data:"))
		if !ok {
			continue
		}
		if has {
			event = append(event, '\n')
		}
		event = append(event, bytes.TrimPrefix(data, []byte(" "))...)
		has = true
	}
}
