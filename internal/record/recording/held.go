package recording

import "time"

const (
	// maxHeld and maxHeldBytes bound what is held while another recording is to begin:
	// commands, and bytes of media, about 20 s of a 10 Mbit/s stream.
	maxHeld      = 1 << 15
	maxHeldBytes = 32 << 20
)

// held has what the arranger decides while another recording is to begin: a folder is claimed
// for it, which storage may take long for. It is carried out in its order when the recording
// has begun, or could not.
type held struct {
	at       time.Duration // where the other recording begins
	old      *Recording
	commands []func()
	bytes    int // of media
	periods  int // of the recording that comes last
}

// holds keeps a command, with bytes of media, while another recording is to begin. Otherwise
// it is false.
func (w *Writer) holds(bytes int, command func()) bool {
	if w.held == nil {
		return false
	}
	w.held.commands = append(w.held.commands, command)
	w.held.bytes += bytes
	return true
}

// foresee has the arranger told when the recording that is to begin will be rotated, after a
// Period at a session time is held.
func (w *Writer) foresee(at time.Duration) {
	if limit := w.s.Limit(); w.held.periods == 1 && limit > 0 {
		w.rotateAt = at + limit
	}
	if w.held.periods >= w.periods && w.rotateAt == 0 {
		w.rotateAt = max(at, 1)
	}
}

// IsFull reports whether no more may be held: whoever has the arranger decide has to wait
// until the other recording has begun.
func (w *Writer) IsFull() bool {
	return w.held != nil && (len(w.held.commands) >= maxHeld || w.held.bytes >= maxHeldBytes)
}

// Rotated tells that another recording has begun, or why it has not, and carries out what
// was held. That may be another rotation, for which the rest is held then.
func (w *Writer) Rotated(err error) {
	h := w.held
	w.held = nil
	switch {
	case err != nil:
		h.old.log().Error("recording is not rotated now, will try again", "stream", h.old.stream, "record_dir", h.old.dir, "error", err)
		w.rotateAt = h.at + RetryAfter
	case !w.isWritten(h.old):
		w.sealRotated(&epoch{rec: h.old})
	}
	for _, command := range h.commands {
		command()
	}
}
