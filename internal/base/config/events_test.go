package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestEvents(t *testing.T) {
	c := mustLoad(t, `
[events]
disk_low_bytes = 0
[[webhooks]]
url = "https://anna:secret1@hooks.example/a?token=secret2"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[[webhooks]]
url = "http://10.0.0.7/a"
events = ["recording.*", "*.low"]
secret = "0123456789abcdef"
[[hooks]]
command = ["/bin/notify", "--now"]
`)
	if got := c.Webhooks[0].Label() + " " + c.Hooks[0].Label(); got != "https://hooks.example/a /bin/notify" {
		t.Error(got)
	}
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	all := b.String() + fmt.Sprintf("%v %+v %#v", c, c, c.Webhooks)
	if strings.Contains(all, "secret1") || strings.Contains(all, "secret2") || strings.Contains(all, "MfKQ9r8G") || !strings.Contains(all, "https://********@hooks.example/a?********") {
		t.Errorf("a secret is shown:\n%s", all)
	}
	changed, err := Default().Changes(c)
	if err == nil || !strings.HasSuffix(err.Error(), "for events.disk_low_bytes") || len(changed) != 3 {
		t.Errorf("%q, %v", changed, err)
	}
	for text, want := range map[string]string{
		"[[webhooks]]":                                                            "f:1: webhooks[0].url: is missing",
		"[[webhooks]]\nurl='ftp://a'":                                             "f:2: webhooks[0].url: is no URL that is understood",
		"[[webhooks]]\nurl='https://a?********'":                                  "the mask",
		"[[webhooks]]\nurl='https://a'\nsecret='short'":                           "has 5 bytes",
		"[[webhooks]]\nurl='https://a'\nsecret='whsec_!'":                         "no base64",
		"[[webhooks]]\nurl='https://a'\nevents=['recording.paused']":              `webhooks[0].events[0]: "recording.paused" names no event`,
		"[[webhooks]]\nurl='https://a?b'\n[[webhooks]]\nurl='https://a?c'":        `webhooks[1].name: "https://a" is the name of webhooks[0] too`,
		"[[nats]]\nurl='nats://a'\nsubject='a.*'":                                 "nats[0].subject",
		"[[mqtt]]\nurl='mqtt://a'\ntopic='a/#'":                                   "mqtt[0].topic",
		"[[mqtt]]\nurl='nats://a'":                                                "mqtt[0].url",
		"[[hooks]]":                                                               "hooks[0].command: is missing",
		"[events]\nfile=''":                                                       "events.file: is empty",
		"[events]\nmax_bytes=10":                                                  "at least 1MiB",
		strings.Repeat("[[hooks]]\ncommand=['a']\n", 1) + manyHooks(maxReceivers): "one too many",
	} {
		if _, err := load("f", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func manyHooks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[hooks]]\ncommand=['b%d']\n", i)
	}
	return b.String()
}
