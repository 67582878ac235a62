package command

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"github.com/live777/recorder/internal/base/tlscert"
)

// DevCert is the command that makes a certificate for a network of one's own.
var DevCert = Command{Summary: "make a certificate for this machine, which browsers ask about, so that others on its network can publish", Operands: "[HOST...]", Declare: devCert}

func devCert(flags *flag.FlagSet) Action {
	dir := flags.String("dir", ".", "write cert.pem and key.pem to `folder`")
	return func(_ context.Context, s Surroundings, hosts []string) (int, error) {
		if len(hosts) == 0 {
			hosts = tlscert.Hosts()
		}
		cert, key := filepath.Join(*dir, "cert.pem"), filepath.Join(*dir, "key.pem")
		if err := tlscert.Own(cert, key, hosts, time.Now()); err != nil {
			return 1, err
		}
		_, err := fmt.Fprintf(s.Stdout, "# a certificate for %q, valid for 397 days\n[http.tls]\ncert = %q\nkey = %q\n", hosts, cert, key)
		return 0, err
	}
}
