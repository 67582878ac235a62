package codec

// picOrder is what the first slice of a picture says about when it is shown.
type picOrder struct {
	known     bool
	bits      int // of lsb
	lsb       uint32
	reset     bool // pictures are counted from here
	reference bool // the next ones are counted from it
	both      bool // predicted from two pictures
}

// picCount counts the places of pictures by the low bits that they have of them (Rec.
// ITU-T H.264 8.2.1.1, H.265 8.3.1).
type picCount struct {
	counting bool
	last     int64 // of the last reference
}

// place gives a unit its place among the pictures since the last key frame.
func (c *picCount) place(u *Unit, p picOrder) {
	u.Bidirectional = p.both
	reset := p.reset || u.Key
	if reset {
		c.counting, c.last = p.known, 0
	}
	if !c.counting || !p.known || p.bits == 0 {
		c.counting = false
		return
	}
	span := int64(1) << p.bits
	order := c.last&^(span-1) | int64(p.lsb)
	switch {
	case order-c.last <= -span/2:
		order += span
	case order-c.last > span/2:
		order -= span
	}
	if reset {
		order = int64(p.lsb)
	}
	if p.reference || reset {
		c.last = order
	}
	u.Order, u.Ordered = order, true
}
