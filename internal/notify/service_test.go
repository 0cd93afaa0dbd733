package notify

import (
	"net"
	"testing"

	"github.com/makegood/makegood/internal/outbound"
)

// TestSlowNameServer: a name that is not found in time is the network's trouble and not the service's, and nothing was said.
func TestSlowNameServer(t *testing.T) {
	t.Parallel()
	got := unreached("ntfy", &outbound.Error{Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}})
	if got.Reason != ReasonNetwork || got.Doubt {
		t.Errorf("unreached = %v, doubt %v; want network without doubt", got, got.Doubt)
	}
}
