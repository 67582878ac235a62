package osstest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPublishedExample is the worked example of "Include a V4 signature in the
// Authorization header", section "Signature calculation example", at
// https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4.
// Its signing key is given, and not the secret that it is derived from.
func TestPublishedExample(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "https://examplebucket.oss-cn-hangzhou.aliyuncs.com/exampleobject", strings.NewReader("abc"))
	for name, value := range map[string]string{
		"Content-Disposition": "attachment", "Content-MD5": "ICy5YqxZB1uWSwcVLSNLcA==", "Content-Type": "text/plain",
		"x-oss-content-sha256": unsignedPayload, "x-oss-date": "20250411T064124Z",
		"Authorization": "OSS4-HMAC-SHA256 Credential=LTAI/20250411/cn-hangzhou/oss/aliyun_v4_request, AdditionalHeaders=content-disposition;content-length, Signature=00",
	} {
		r.Header.Set(name, value)
	}
	sig, fail := parseSignature(r)
	if fail != nil {
		t.Fatal(fail.Message)
	}
	canonical := canonicalRequest(r, "examplebucket", "exampleobject", sig.additional)
	if hash := sha256.Sum256([]byte(canonical)); hex.EncodeToString(hash[:]) != "c46d96390bdbc2d739ac9363293ae9d710b14e48081fcb22cd8ad54b63136eca" {
		t.Errorf("another canonical request than the published one:\n%s", canonical)
	}
	key, err := hex.DecodeString("3543b7686e65eda71e5e5ca19d548d78423c37e8ddba4dc9d83f90228b457c76")
	if err != nil {
		t.Fatal(err)
	}
	const want = "053edbf550ebd239b32a9cdfd93b0b2b3f2d223083aa61f75e9ac16856d61f23"
	if got := hex.EncodeToString(mac(key, sig.stringToSign(canonical))); got != want {
		t.Errorf("signature %s, published is %s", got, want)
	}
}

// TestVectors holds the whole algorithm against the values in the public tests
// of Aliyun's SDKs: signer_test.go of aliyun/alibabacloud-oss-go-sdk-v2, and the
// same in those for Python, Java, PHP, C# and Swift.
func TestVectors(t *testing.T) {
	const unsigned = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2&%7Cparam2&param2"
	for _, test := range []struct {
		name, token, additional string
		unix                    int64
		expires                 int // of a signed URL
		want                    string
	}{
		{name: "header", unix: 1702743657, want: "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"},
		{name: "header, token", unix: 1702784856, token: "token", want: "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"},
		{name: "header, additional", unix: 1702747512, additional: "abc;zabc", want: "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"},
		{name: "URL", unix: 1702781677, expires: 599, want: "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"},
		{name: "URL, token", unix: 1702785388, expires: 599, token: "token", want: "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5"},
		{name: "URL, additional", unix: 1702783809, expires: 599, additional: "abc;zabc", want: "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := time.Unix(test.unix, 0).UTC()
			r := httptest.NewRequest(http.MethodPut, "http://bucket.oss-cn-hangzhou.aliyuncs.com/1234%2B-/123/1.txt?"+unsigned, nil)
			for _, header := range []string{"x-oss-head1", "abc", "ZAbc", "XYZ"} {
				r.Header.Set(header, "value")
			}
			credential := "ak/" + at.Format(dateLayout) + "/cn-hangzhou/oss/aliyun_v4_request"
			if test.expires == 0 {
				r.Header.Set("Content-Type", "text/plain")
				r.Header.Set("X-Oss-Content-Sha256", unsignedPayload)
				r.Header.Set("X-Oss-Date", at.Format(dateTimeLayout))
				if test.token != "" {
					r.Header.Set("X-Oss-Security-Token", test.token)
				}
				r.Header.Set("Authorization", algorithm+" Credential="+credential+",AdditionalHeaders="+test.additional+",Signature="+test.want)
			} else {
				r.Header.Set("Content-Type", "application/octet-stream")
				q := url.Values{
					"x-oss-signature-version": {algorithm}, "x-oss-credential": {credential}, "x-oss-date": {at.Format(dateTimeLayout)},
					"x-oss-expires": {strconv.Itoa(test.expires)}, "x-oss-signature": {test.want},
				}
				if test.additional != "" {
					q.Set("x-oss-additional-headers", test.additional)
				}
				if test.token != "" {
					q.Set("x-oss-security-token", test.token)
				}
				r.URL.RawQuery += "&" + q.Encode()
			}
			s := &Server{region: "cn-hangzhou", now: func() time.Time { return at }, keys: map[string]Key{"ak": {Secret: "sk", Token: test.token}}}
			if _, fail := s.authenticate(r, "bucket", "1234+-/123/1.txt"); fail != nil {
				t.Errorf("refused: %s: %s", fail.Code, fail.Message)
			}
			s.keys["ak"] = Key{Secret: "sk2", Token: test.token}
			if _, fail := s.authenticate(r, "bucket", "1234+-/123/1.txt"); fail != errSignature {
				t.Errorf("with another secret: %v, want SignatureDoesNotMatch", fail)
			}
		})
	}
}

// signed returns a request that is signed by the headers, with what sig says.
func signed(sig signature, secret string, header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/bucket/key?x=1", nil)
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("X-Oss-Date", sig.dateTime)
	if sig.token != "" {
		r.Header.Set("X-Oss-Security-Token", sig.token)
	}
	if r.Header.Get("X-Oss-Content-Sha256") == "" {
		r.Header.Set("X-Oss-Content-Sha256", unsignedPayload)
	}
	text := sig.stringToSign(canonicalRequest(r, "bucket", "key", nil))
	r.Header.Set("Authorization", algorithm+" Credential="+strings.Join([]string{sig.accessKeyID, sig.date, sig.region, service, scopeEnd}, "/")+
		",Signature="+hex.EncodeToString(mac(signingKey(secret, sig.date, sig.region), text)))
	return r
}

func TestRefusals(t *testing.T) {
	now := time.Date(2026, 3, 4, 23, 50, 0, 0, time.UTC)
	s := &Server{region: "cn-hangzhou", now: func() time.Time { return now }, keys: map[string]Key{
		"ak":   {Secret: "sk"},
		"STS1": {Secret: "sk", Token: "token", Expires: now.Add(time.Hour)},
		"STS2": {Secret: "sk", Token: "token", Expires: now},
	}}
	good := func() signature {
		return signature{accessKeyID: "ak", region: "cn-hangzhou", date: "20260304", dateTime: now.Format(dateTimeLayout)}
	}
	for _, test := range []struct {
		name, want string
		change     func(*signature)
		tamper     func(*http.Request)
	}{
		{name: "good"},
		{name: "good token", change: func(s *signature) { s.accessKeyID, s.token = "STS1", "token" }},
		{name: "clock a little behind", change: func(s *signature) { s.dateTime = now.Add(-14 * time.Minute).Format(dateTimeLayout) }},
		{name: "no token", want: "InvalidAccessKeyId", change: func(s *signature) { s.accessKeyID = "STS1" }},
		{name: "other token", want: "InvalidSecurityToken", change: func(s *signature) { s.accessKeyID, s.token = "STS1", "other" }},
		{name: "token without need", want: "InvalidSecurityToken", change: func(s *signature) { s.token = "token" }},
		{name: "expired token", want: "SecurityTokenExpired", change: func(s *signature) { s.accessKeyID, s.token = "STS2", "token" }},
		{name: "unknown key", want: "InvalidAccessKeyId", change: func(s *signature) { s.accessKeyID = "who" }},
		{name: "clock behind", want: "RequestTimeTooSkewed", change: func(s *signature) { s.dateTime = now.Add(-16 * time.Minute).Format(dateTimeLayout) }},
		{name: "clock ahead", want: "RequestTimeTooSkewed", change: func(s *signature) { s.date, s.dateTime = "20260305", now.Add(16*time.Minute).Format(dateTimeLayout) }},
		{name: "scope of another day", want: "AccessDenied", change: func(s *signature) { s.date = "20260303" }},
		{name: "region", want: "InvalidArgument", change: func(s *signature) { s.region = "cn-beijing" }},
		{name: "region with oss-", want: "InvalidArgument", change: func(s *signature) { s.region = "oss-cn-hangzhou" }},
		{name: "query changed", want: "SignatureDoesNotMatch", tamper: func(r *http.Request) { r.URL.RawQuery = "x=2" }},
		{name: "method changed", want: "SignatureDoesNotMatch", tamper: func(r *http.Request) { r.Method = http.MethodDelete }},
		{name: "header added", want: "SignatureDoesNotMatch", tamper: func(r *http.Request) { r.Header.Set("X-Oss-Forbid-Overwrite", "true") }},
		{name: "payload header", want: "InvalidArgument", tamper: func(r *http.Request) { r.Header.Set("X-Oss-Content-Sha256", "abc") }},
		{name: "anonymous", want: "AccessDenied", tamper: func(r *http.Request) { r.Header.Del("Authorization") }},
		{name: "other version", want: "AccessDenied", tamper: func(r *http.Request) { r.Header.Set("Authorization", "OSS ak:abc") }},
		{name: "broken credential", want: "InvalidArgument", tamper: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), scopeEnd, "abc", 1))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sig := good()
			if test.change != nil {
				test.change(&sig)
			}
			r := signed(sig, "sk", http.Header{})
			if test.tamper != nil {
				test.tamper(r)
			}
			got := ""
			if _, fail := s.authenticate(r, "bucket", "key"); fail != nil {
				got = fail.Code
			}
			if got != test.want {
				t.Errorf("code %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzParseSignature(f *testing.F) {
	f.Add("OSS4-HMAC-SHA256 Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,AdditionalHeaders=a;b,Signature=00", "")
	f.Add("OSS4-HMAC-SHA256 Credential=,Signature", "a=%zz&&=&x-oss-signature=1")
	f.Add("", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=1&x-oss-credential=a/b/c/oss/aliyun_v4_request")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/bucket/key", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Oss-Content-Sha256", unsignedPayload)
		s := &Server{region: "cn-hangzhou", now: time.Now}
		if _, fail := s.authenticate(r, "bucket", "key"); fail == nil {
			t.Error("a request that no key has signed is accepted")
		}
		canonicalRequest(r, "bucket", "key", []string{"host"})
	})
}
