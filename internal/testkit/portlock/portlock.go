// Package portlock keeps TCP ports for servers that tests start, kill and start
// again where they were: a port that nobody listens on would be given to whoever
// asks for any.
package portlock

import (
	"fmt"
	"testing"
)

// Address returns an address of the loopback interface whose port is, until the
// test ends, for those who ask for it.
func Address(tb testing.TB) string {
	tb.Helper()
	port, release, err := reserve()
	if err != nil {
		tb.Fatalf("reserve a port: %v", err)
	}
	tb.Cleanup(release)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
