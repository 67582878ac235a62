package s3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

const amazon = "s3.us-east-1.amazonaws.com"

// certify returns a certificate for a host, and its authority in a file.
func certify(t *testing.T, host string) (certificate tls.Certificate, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, writeFile(t, "authority.pem", string(text))
}

// amazonOptions are those of a bucket of Amazon's, whose host is played by a
// TLS server in front of MinIO: the SDK then does all that it does by default,
// such as checksums in trailers.
func amazonOptions(t *testing.T, server *miniotest.Server) Options {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	certificate, authority := certify(t, amazon)
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 16},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	})
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	front.StartTLS()
	t.Cleanup(front.Close)
	t.Setenv("AWS_CA_BUNDLE", authority)
	return Options{
		Bucket: server.Bucket, Region: "us-east-1", AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey,
		dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != amazon+":443" {
				t.Errorf("dialled %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, front.Listener.Addr().String())
		},
	}
}

func TestTLS(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	o := amazonOptions(t, server)
	s := open(t, o)
	wantUsable(t, s)
	const size = partSize + 1
	if err := s.Add(t.Context(), "parts", source(size, false), size); err != nil {
		t.Error(err)
	}
	wantPattern(t, s, "parts", size)

	t.Setenv("AWS_CA_BUNDLE", "") // now nobody vouches for it
	err := open(t, o).Check(t.Context())
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "recorder.storage.endpoint: the server's certificate is not trusted") {
		t.Errorf("error %v, want that the certificate is not trusted", err)
	}
}
