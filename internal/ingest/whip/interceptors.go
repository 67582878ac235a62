package whip

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
)

// registerInterceptors sets up what happens to packets on their way out: NACKs are
// answered, sender reports made. Those on their way in are the ingests' own.
func (s *Server) registerInterceptors() error {
	logs := pionLogs{s.o.Logger}
	responder, err := nack.NewResponderInterceptor(nack.WithResponderLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("NACK responder: %w", err)
	}
	sender, err := report.NewSenderInterceptor(report.WithSenderLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("sender reports: %w", err)
	}
	s.ingest, s.egress = new(interceptor.Registry), new(interceptor.Registry)
	s.egress.Add(responder)
	s.egress.Add(sender)
	return nil
}
