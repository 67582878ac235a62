package events

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/live777/recorder/internal/base/config"
)

// receivers returns those of a configuration, in the order in which they are shown;
// transport is that of webhooks, nil for the network.
func receivers(cfg config.Events, transport http.RoundTripper) []receiver {
	var all []receiver
	for _, w := range cfg.Webhooks {
		all = append(all, receiver{
			name: w.Label(), kind: "webhook", to: w.URL.Plain(), patterns: w.Events, signed: w.Secret != "", parallel: webhookParallel,
			timeout: cfg.Options.Timeout.Duration(), setup: setupOf(cfg.Options, w, string(w.URL)+" "+string(w.Secret)),
			open: func() sender { return newWebhook(string(w.URL), string(w.Secret), transport) },
		})
	}
	for _, h := range cfg.Hooks {
		all = append(all, receiver{
			name: h.Label(), kind: "hook", to: h.Command[0], patterns: h.Events, parallel: hookParallel,
			timeout: cfg.Options.HookTimeout.Duration(), setup: setupOf(cfg.Options, h, ""),
			open: func() sender { return hook{h.Command} },
		})
	}
	for _, n := range cfg.NATS {
		all = append(all, receiver{
			name: n.Label(), kind: "nats", to: n.URL.Plain(), patterns: n.Events, parallel: webhookParallel,
			timeout: cfg.Options.Timeout.Duration(), setup: setupOf(cfg.Options, n, string(n.URL)),
			open: func() sender { return &natsSender{cfg: n} },
		})
	}
	for _, q := range cfg.MQTT {
		timeout := cfg.Options.Timeout.Duration()
		all = append(all, receiver{
			name: q.Label(), kind: "mqtt", to: q.URL.Plain(), patterns: q.Events, parallel: webhookParallel,
			timeout: timeout, setup: setupOf(cfg.Options, q, string(q.URL)+" "+string(q.Password)),
			open: func() sender { return &mqttSender{cfg: q, timeout: timeout} },
		})
	}
	return all
}

// setupOf returns a text that differs where settings do.
func setupOf(o config.EventOptions, settings any, secret string) string {
	return IDOf(fmt.Sprintf("%+v %+v", o, settings), secret)
}

// hideURL takes the URL out of an error of net/http: it may have a secret.
func hideURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
