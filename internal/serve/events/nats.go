package events

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/live777/recorder/internal/base/config"
)

// natsSender publishes events to NATS. With JetStream the server has stored an event when
// it counts as told, without it the server has it, and who subscribes at that moment.
type natsSender struct {
	cfg config.NATS

	mu   sync.Mutex
	conn *nats.Conn
}

// connect returns the connection, which comes back by itself once it was there.
func (s *natsSender) connect() (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && !s.conn.IsClosed() {
		return s.conn, nil
	}
	o := []nats.Option{
		nats.Name("live777"), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // an event waits in the queue, and not where it may be lost
	}
	if s.cfg.CredentialsFile != "" {
		o = append(o, nats.UserCredentials(s.cfg.CredentialsFile))
	}
	conn, err := nats.Connect(string(s.cfg.URL), o...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	s.conn = conn
	return conn, nil
}

func (s *natsSender) send(ctx context.Context, m message) answer {
	conn, err := s.connect()
	if err != nil {
		return answer{err: err}
	}
	msg := nats.NewMsg(s.cfg.Prefix() + "." + m.kind)
	msg.Header.Set("Content-Type", contentType)
	msg.Header.Set(nats.MsgIdHdr, m.id) // by which JetStream knows repeats
	msg.Data = m.body
	if s.cfg.JetStream {
		js, err := conn.JetStream()
		if err == nil {
			_, err = js.PublishMsg(msg, nats.Context(ctx))
		}
		if err != nil {
			return answer{err: fmt.Errorf("publish to JetStream: %w", err)}
		}
		return answer{}
	}
	if err := conn.PublishMsg(msg); err != nil {
		return answer{err: fmt.Errorf("publish to NATS: %w", err)}
	}
	if err := conn.FlushWithContext(ctx); err != nil {
		return answer{err: fmt.Errorf("await NATS: %w", err)}
	}
	return answer{}
}

func (s *natsSender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}
