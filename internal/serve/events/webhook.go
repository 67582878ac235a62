package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// webhookParallel is how many events, of different subjects, a webhook is told at once.
	webhookParallel = 8
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 4 << 10
)

// webhook tells events by HTTP, as Standard Webhooks has it. It goes wherever it was
// configured to: who writes the configuration may send requests from here, to machines of
// its own network too.
type webhook struct {
	url    string
	key    []byte // nil: nothing is signed
	client *http.Client
}

func newWebhook(url, secret string, transport http.RoundTripper) *webhook {
	if transport == nil {
		network := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert,errcheck // it is one
		network.MaxConnsPerHost, network.MaxIdleConnsPerHost = webhookParallel, webhookParallel
		transport = network
	}
	return &webhook{url: url, key: secretKey(secret), client: &http.Client{
		Transport: transport,
		// A redirect would take the event where nobody has configured it to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// secretKey returns the key of a secret: "whsec_" and base64, or the bytes as they are.
func secretKey(secret string) []byte {
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// sign returns the signature of Standard Webhooks 1.0.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (w *webhook) send(ctx context.Context, m message) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.body))
	if err != nil {
		return answer{err: fmt.Errorf("use the url of the webhook: %w", err)}
	}
	now := time.Now()
	h := req.Header
	h.Set("Content-Type", contentType)
	h.Set("User-Agent", "live777-webhook")
	h.Set("Webhook-Id", m.id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(w.key) > 0 {
		h.Set("Webhook-Signature", sign(w.key, m.id, now, m.body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return answer{err: fmt.Errorf("call the webhook: %w", hideURL(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // for the message, and so that the connection can be used again
	a := answer{status: resp.StatusCode}
	if resp.StatusCode/100 == 2 {
		return a
	}
	a.after = retryAfter(resp.Header.Get("Retry-After"), now)
	a.err = fmt.Errorf("it answers %s: %s", resp.Status, shorten(string(said)))
	return a
}

func (w *webhook) close() { w.client.CloseIdleConnections() }

// retryAfter reads a Retry-After header (RFC 9110 10.2.3); 0: there is none.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, int(retryAfterMax.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
