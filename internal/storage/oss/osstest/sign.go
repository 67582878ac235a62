package osstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The constants of signature version 4, as in "Include a V4 signature in the
// Authorization header" and "Include a V4 signature in the URL",
// https://help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4
// and https://help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls.
const (
	algorithm       = "OSS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	dateTimeLayout  = "20060102T150405Z"
	dateLayout      = "20060102"
	scopeEnd        = "aliyun_v4_request"
	service         = "oss"

	// maxSkew is how far the clocks of client and server may be apart.
	maxSkew = 15 * time.Minute
	// maxExpires is the longest validity of a signed URL.
	maxExpires = 7 * 24 * time.Hour
)

// signature is what a request says about how it is signed.
type signature struct {
	inURL       bool
	accessKeyID string
	date        string // YYYYMMDD of the scope
	region      string
	additional  []string // lower case, sorted
	dateTime    string
	expires     time.Duration // of a signed URL
	token       string
	value       string // hexadecimal
}

// parseSignature reads the signature of a request, from its query where
// x-oss-signature-version is there, else from its headers.
func parseSignature(r *http.Request) (signature, *apiError) {
	if q := r.URL.Query(); q.Has("x-oss-signature-version") {
		return parseURLSignature(q)
	}
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return signature{}, errAnonymous
	}
	sig := signature{token: r.Header.Get("X-Oss-Security-Token"), dateTime: r.Header.Get("X-Oss-Date")}
	if sig.dateTime == "" {
		if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
			sig.dateTime = date.UTC().Format(dateTimeLayout)
		}
	}
	var credential string
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			credential = value
		case "AdditionalHeaders":
			sig.additional = splitNames(value)
		case "Signature":
			sig.value = value
		}
	}
	if r.Header.Get("X-Oss-Content-Sha256") != unsignedPayload {
		return sig, errPayload
	}
	fail := sig.parseCredential(credential)
	return sig, fail
}

func parseURLSignature(q url.Values) (signature, *apiError) {
	sig := signature{
		inURL:      true,
		additional: splitNames(q.Get("x-oss-additional-headers")),
		dateTime:   q.Get("x-oss-date"),
		token:      q.Get("x-oss-security-token"),
		value:      q.Get("x-oss-signature"),
	}
	if q.Get("x-oss-signature-version") != algorithm {
		return sig, errSignatureVersion
	}
	seconds, err := strconv.ParseInt(q.Get("x-oss-expires"), 10, 32)
	if err != nil || seconds < 1 || time.Duration(seconds)*time.Second > maxExpires {
		return sig, errExpires
	}
	sig.expires = time.Duration(seconds) * time.Second
	fail := sig.parseCredential(q.Get("x-oss-credential"))
	return sig, fail
}

// parseCredential reads ID/YYYYMMDD/region/oss/aliyun_v4_request.
func (s *signature) parseCredential(credential string) *apiError {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[3] != service || parts[4] != scopeEnd {
		return errCredential
	}
	s.accessKeyID, s.date, s.region = parts[0], parts[1], parts[2]
	return nil
}

func splitNames(list string) []string {
	if list == "" {
		return nil
	}
	names := strings.Split(strings.ToLower(list), ";")
	slices.Sort(names)
	return names
}

// stringToSign is algorithm, time, scope and hash of the canonical request, a
// line each.
func (s *signature) stringToSign(canonical string) string {
	hash := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{s.date, s.region, service, scopeEnd}, "/")
	return strings.Join([]string{algorithm, s.dateTime, scope, hex.EncodeToString(hash[:])}, "\n")
}

// signingKey derives the key of a day, a region and OSS from the secret.
func signingKey(secret, date, region string) []byte {
	key := []byte("aliyun_v4" + secret)
	for _, part := range []string{date, region, service, scopeEnd} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalRequest writes r as the algorithm wants it: method, resource, query,
// headers, names of the additional headers, hash of the payload. The resource
// names the bucket, wherever the request has its name.
func canonicalRequest(r *http.Request, bucket, key string, additional []string) string {
	resource := "/"
	if bucket != "" {
		resource += bucket + "/" + key
	}
	return strings.Join([]string{
		r.Method,
		encode(resource, true),
		canonicalQuery(r.URL.RawQuery),
		canonicalHeaders(r, additional),
		strings.Join(additional, ";"),
		unsignedPayload,
	}, "\n")
}

// canonicalQuery sorts the encoded parameters, but for the signature itself; one
// without a value has no "=".
func canonicalQuery(raw string) string {
	var params []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = reencode(name), reencode(value)
		switch {
		case name == "" || name == "x-oss-signature":
		case value == "":
			params = append(params, name)
		default:
			params = append(params, name+"="+value)
		}
	}
	slices.SortFunc(params, func(a, b string) int { // by name: "=" would sort into the names
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(params, "&")
}

func reencode(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return encode(decoded, false)
	}
	return text
}

// canonicalHeaders has Content-Type, Content-MD5, all x-oss- headers and the
// additional ones, sorted, a line each.
func canonicalHeaders(r *http.Request, additional []string) string {
	values := map[string]string{}
	for name, v := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-oss-") || name == "content-type" || name == "content-md5" || slices.Contains(additional, name) {
			values[name] = strings.TrimSpace(strings.Join(v, ","))
		}
	}
	if slices.Contains(additional, "host") { // net/http keeps these two apart
		values["host"] = r.Host
	}
	if slices.Contains(additional, "content-length") && r.ContentLength >= 0 {
		values["content-length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	var lines strings.Builder
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		lines.WriteString(name + ":" + values[name] + "\n")
	}
	return lines.String()
}

// encode is RFC 3986 percent-encoding of everything that is not unreserved.
func encode(text string, keepSlash bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// authenticate checks who sent the request and that nobody changed it, in the
// order in which OSS finds faults.
func (s *Server) authenticate(r *http.Request, bucket, key string) (Key, *apiError) {
	sig, fail := parseSignature(r)
	if fail != nil {
		return Key{}, fail
	}
	now := s.now()
	at, err := time.Parse(dateTimeLayout, sig.dateTime)
	if err != nil || at.Format(dateLayout) != sig.date {
		return Key{}, errDate
	}
	if !sig.inURL && at.Sub(now).Abs() > maxSkew || sig.inURL && at.Sub(now) > maxSkew {
		return Key{}, errSkewed
	}
	if sig.inURL && now.After(at.Add(sig.expires)) {
		return Key{}, errExpired
	}
	if sig.region != s.region {
		if sig.inURL {
			return Key{}, errURLRegion
		}
		return Key{}, errRegion
	}
	owner, ok := s.key(sig.accessKeyID)
	switch {
	case !ok:
		return Key{}, errAccessKey
	case owner.Token != "" && sig.token == "":
		return Key{}, errNoToken
	case owner.Token != sig.token:
		return Key{}, errToken
	case !owner.Expires.IsZero() && !now.Before(owner.Expires):
		return Key{}, errTokenExpired
	}
	text := sig.stringToSign(canonicalRequest(r, bucket, key, sig.additional))
	want := hex.EncodeToString(mac(signingKey(owner.Secret, sig.date, sig.region), text))
	if !hmac.Equal([]byte(want), []byte(sig.value)) {
		return Key{}, errSignature
	}
	return owner, nil
}
