package codec

import "strings"

// fmtpParam returns the value of the parameter name in the a=fmtp parameters
// fmtp; names are compared without case, as every payload format here wants.
func fmtpParam(fmtp, name string) (string, bool) {
	for p := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}
