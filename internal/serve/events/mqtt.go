package events

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/live777/recorder/internal/base/config"
)

const (
	// mqttQoS is "at least once": the broker acknowledges each event.
	mqttQoS = 1
	// mqttGoodbye is how long the end of a connection may take, in milliseconds.
	mqttGoodbye = 250
)

// mqttSender publishes events to a broker of MQTT 3.1.1.
type mqttSender struct {
	cfg     config.MQTT
	timeout time.Duration

	mu     sync.Mutex
	client mqtt.Client
}

// connect returns a client that has a connection, or an error.
func (s *mqttSender) connect(ctx context.Context) (mqtt.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil && s.client.IsConnectionOpen() {
		return s.client, nil
	}
	if s.client != nil {
		s.client.Disconnect(0)
	}
	o := mqtt.NewClientOptions().AddBroker(string(s.cfg.URL)).SetClientID("live777-" + rand.Text()[:12]).
		SetConnectTimeout(s.timeout).SetAutoReconnect(false).SetCleanSession(true).SetOrderMatters(false)
	if s.cfg.Username != "" {
		o.SetUsername(s.cfg.Username).SetPassword(string(s.cfg.Password))
	}
	s.client = mqtt.NewClient(o)
	if err := await(ctx, s.client.Connect()); err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	return s.client, nil
}

func (s *mqttSender) send(ctx context.Context, m message) answer {
	client, err := s.connect(ctx)
	if err != nil {
		return answer{err: err}
	}
	topic := s.cfg.Prefix() + "/" + strings.ReplaceAll(m.kind, ".", "/")
	if err := await(ctx, client.Publish(topic, mqttQoS, false, m.body)); err != nil {
		return answer{err: fmt.Errorf("publish to the broker: %w", err)}
	}
	return answer{}
}

// await waits until something has been acknowledged.
func await(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return errors.Join(errors.New("no acknowledgement came"), ctx.Err())
	}
}

func (s *mqttSender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Disconnect(mqttGoodbye)
	}
}
