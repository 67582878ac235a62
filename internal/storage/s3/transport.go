package s3

import (
	"context"
	"net"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/live777/recorder/internal/storage"
)

const (
	dialTimeout = 10 * time.Second
	// stallTimeout is how long a connection may be silent before it counts as
	// broken: nothing sent, nothing received. It also bounds the wait for an answer.
	stallTimeout = 30 * time.Second
	// sendBuffer is what the kernel may hold of a body that the network has not
	// taken yet. More would hide from
	// storage.StallConn that a slow upload goes on.
	sendBuffer = 512 << 10
	// idleConnections is how many connections wait for the next upload.
	idleConnections = 64
)

// newHTTPClient returns the SDK's client, to which it adds the certificates of
// AWS_CA_BUNDLE, with our timeouts.
func newHTTPClient(o Options) *awshttp.BuildableClient {
	stall := o.stall
	if stall == 0 {
		stall = stallTimeout
	}
	dial := o.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = idleConnections
		t.ResponseHeaderTimeout = stall
		t.TLSHandshakeTimeout = dialTimeout
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetWriteBuffer(sendBuffer) // without it the kernel chooses
			}
			return storage.StallConn(conn, stall), nil
		}
	})
}
