package signalling

import (
	"context"
	"slices"
	"time"
)

// agreeTimeout bounds how long a publisher waits for the managers to agree. A manager whose
// database does not answer goes on alone.
const agreeTimeout = 2 * time.Second

// agree returns which node of the list a stream's publisher goes to: the first, or the one
// that another manager has just sent a publisher of it to. refused is the node that was
// asked before, and has not taken it; "" for none.
func (s *Server) agree(ctx context.Context, stream string, list []Candidate, refused string) Candidate {
	if s.o.Places == nil {
		return list[0]
	}
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	placed, err := s.o.Places.Place(ctx, stream, list[0].Alias, refused)
	i := slices.IndexFunc(list, func(c Candidate) bool { return c.Alias == placed })
	if err == nil && i < 0 { // it is down, or not one for this stream: the others will not get through either
		i = 0
		_, err = s.o.Places.Place(ctx, stream, list[0].Alias, placed)
	}
	if err != nil {
		s.log.Warn("other managers are not asked where a publisher goes: they may send another one of the stream elsewhere", "stream", stream, "error", err)
		return list[0]
	}
	return list[i]
}

// placedByOthers returns the node that another manager has just sent a stream's publisher
// to; "" for none.
func (s *Server) placedByOthers(ctx context.Context, stream string) string {
	if s.o.Places == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	alias, err := s.o.Places.Placed(ctx, stream)
	if err != nil {
		return ""
	}
	return alias
}

// displace tells other managers that a publisher is not where it was sent.
func (s *Server) displace(stream, alias string) {
	if s.o.Places == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, agreeTimeout)
	defer cancel()
	if err := s.o.Places.Displace(ctx, stream, alias); err != nil {
		s.log.Warn("other managers may send a publisher where its node does not take it", "stream", stream, "node", alias, "error", err)
	}
}
