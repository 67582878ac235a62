// Package events tells others what happens: webhooks, commands, and brokers of NATS and
// MQTT. What is to be told waits in a queue on the disk until its receiver has taken it, in
// the order of each stream.
//
// It stands on the floor of HTTP and metrics: like them it shows to the outside what the
// floors below do, and those below know nothing of it.
package events

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/config"
)

// typePrefix makes a name of config.EventTypes a CloudEvents type.
const typePrefix = "io.github.live777."

// maxBody bounds an event, in bytes of JSON.
const maxBody = 64 << 10

// Event is something that has happened.
type Event struct {
	Type string // one of config.EventTypes
	// Subject is what it happened to: a stream, or a node or a disk. Events of one subject
	// are told in order.
	Subject string
	Time    time.Time // zero: now
	Data    any       // as JSON
	// ID tells repeats of it; empty: a random one.
	ID string
}

// message is an event as it is stored and sent.
type message struct {
	seq     int64 // its place in the queue
	id      string
	kind    string // Event.Type
	subject string
	time    time.Time
	body    []byte
}

// envelope is a CloudEvent in JSON (CloudEvents JSON Event Format 1.0, structured mode).
type envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            any       `json:"data"`
}

// contentType is that of an envelope.
const contentType = "application/cloudevents+json; charset=utf-8"

// encode makes a message of an event.
func encode(e Event, source string, now time.Time) (message, error) {
	if e.Time.IsZero() {
		e.Time = now
	}
	if e.ID == "" {
		e.ID = rand.Text()
	}
	env := envelope{
		SpecVersion: "1.0", ID: e.ID, Source: source, Type: typePrefix + e.Type, Subject: e.Subject,
		Time: e.Time.UTC().Round(time.Millisecond), DataContentType: "application/json", Data: e.Data,
	}
	body, err := json.Marshal(env)
	if err == nil && len(body) > maxBody {
		env.Data = struct {
			TooLong int `json:"too_long"`
		}{len(body)}
		body, err = json.Marshal(env)
	}
	if err != nil {
		return message{}, fmt.Errorf("encode event %s: %w", e.Type, err)
	}
	return message{id: e.ID, kind: e.Type, subject: e.Subject, time: e.Time, body: body}, nil
}

// IDOf makes the id of an event that may be found out twice of what makes it one: then it
// has the same id.
func IDOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// wanted reports whether one of the patterns of a receiver names a type. Without patterns
// it gets what config.EventTypes names, but what is there for each segment.
func wanted(patterns []string, kind string) bool {
	if len(patterns) == 0 {
		return kind != config.EventSegment
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, kind); ok && err == nil {
			return true
		}
	}
	return false
}
