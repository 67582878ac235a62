package fault

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

// Text returns the message of err for those who use the API. It has all that this
// module's own errors say; of what other packages say it has the kind of failure
// only, because they name addresses, URLs, databases, users and paths: who may
// view a recording is not to learn where it is kept. Logs have err itself.
func Text(err error) string {
	text := err.Error()
	for _, f := range foreign(err, nil) {
		if said := f.Error(); said != "" {
			text = strings.ReplaceAll(text, said, brief(f))
		}
	}
	return text
}

// plainPackages are those outside of this module whose errors say nothing of where
// something is.
var plainPackages = []string{"context", "encoding/json", "errors", "fmt", "internal/poll", "syscall"}

var ownPackages = strings.TrimSuffix(reflect.TypeFor[Error]().PkgPath(), "internal/base/fault")

// foreign adds the outermost errors in err's tree that other packages made.
func foreign(err error, list []error) []error {
	typ := reflect.TypeOf(err)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if pkg := typ.PkgPath(); !strings.HasPrefix(pkg, ownPackages) && !slices.Contains(plainPackages, pkg) {
		return append(list, err)
	}
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at for itself
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			list = foreign(inner, list)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			list = foreign(inner, list)
		}
	}
	return list
}

// brief says what kind of failure a foreign error is.
func brief(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return "the name of the host cannot be resolved"
	case errors.As(err, &certificate):
		return "the TLS certificate is not accepted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "it was broken off"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed"
	}
	return "the log tells more"
}
