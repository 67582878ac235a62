package whip

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
)

// registerInterceptors sets up what happens to packets on their way in
// (receiver reports and congestion feedback; losses are asked for by the
// reading goroutines, which see recovered packets too) and out (NACKs answered,
// sender reports).
func (s *Server) registerInterceptors() error {
	logs := pionLogs{s.o.Logger}
	receiver, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("receiver reports: %w", err)
	}
	responder, err := nack.NewResponderInterceptor(nack.WithResponderLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("NACK responder: %w", err)
	}
	sender, err := report.NewSenderInterceptor(report.WithSenderLoggerFactory(logs))
	if err != nil {
		return fmt.Errorf("sender reports: %w", err)
	}
	s.ingest, s.egress = new(interceptor.Registry), new(interceptor.Registry)
	s.ingest.Add(receiver)
	s.ingest.Add(feedbackFactory{s.o.Now})
	s.egress.Add(responder)
	s.egress.Add(sender)
	return nil
}
