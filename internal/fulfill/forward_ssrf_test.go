package fulfill_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/outbound"
)

// hostile are the hosts that somebody writes into an address to make a server call what only it can reach. Names that are
// numbers in disguise count as numbers for some resolvers and as unknown names for others; neither may end in a call.
var hostile = []string{
	// Loopback, as it is and in every spelling that inet_aton takes.
	"127.0.0.1", "127.0.0.0", "127.1.2.3", "127.127.127.127", "127.255.255.255", "127.1", "127.0.1", "127.000.000.001",
	"2130706433", "017700000001", "0x7f000001", "0x7F000001", "0177.0.0.1", "0177.1", "0x7f.0.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1",
	"0177.0x0.0.1", "00000177.0.0.1", "127.0.0.1.", "127.0.0.01", "127.0.0.0x1", "4294967295", "6425673729", "127.0.0.257",
	// Loopback by name.
	"localhost", "LOCALHOST", "LocalHost", "localhost.", "LOCALHOST.", "foo.localhost", "localhost.localdomain", "ip6-localhost",
	"ip6-loopback", "makegood.localhost.",
	// Loopback in letters that are made into digits and dots on the way.
	"①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "127｡0｡0｡1", "１２７．０．０．１", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "loc\u00adalhost",
	// Unspecified: the machine itself on many systems.
	"0.0.0.0", "0", "0x0", "00", "0.0", "0.0.0", "[::]", "[0:0:0:0:0:0:0:0]", "[::0.0.0.0]", "[::ffff:0.0.0.0]",
	// Private networks.
	"10.0.0.1", "10.255.255.255", "10.1", "0xa000001", "167772161", "012.0.0.1", "172.16.0.1", "172.31.255.254", "0xac100001", "2886729729",
	"192.168.0.1", "192.168.1.254", "192.168.257", "0xc0a80001", "3232235521", "0300.0250.0.1", "100.64.0.1", "100.127.255.254",
	// Link-local, and where clouds tell the secrets of a machine.
	"169.254.169.254", "169.254.0.1", "169.254.169.253", "169.254.170.2", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe",
	"169.254.43518", "169.16689662", "168.63.129.16", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]",
	"metadata.google.internal", "metadata", "instance-data", "kubernetes.default.svc",
	// Multicast, broadcast, reserved, documentation, benchmarks.
	"224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "0xffffffff", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1",
	"192.88.99.1",
	"0.1.2.3", "10.0.0.0", "172.20.10.1", "192.168.255.255", "198.19.255.255", "192.0.0.8", "192.52.193.1", "192.175.48.1", "250.1.2.3",
	// IPv6: loopback, link-local with and without a zone, unique local, site-local, multicast.
	"[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0001]", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%25eth0]",
	"[::1%25lo]", "[fc00::1]", "[fd00::1]", "[fdff:ffff::1]", "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[2001:db8::1]",
	"[3fff::1]", "[5f00::1]", "[febf::1]", "[ff01::1]", "[4000::1]",
	// IPv6 that carries IPv4: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::FFFF:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:192.168.1.1]",
	"[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
	"[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:1::1]",
	"[2002:a00:1::]", "[2002:c0a8:101::]", "[2002:a9fe:a9fe::]", "[2001:0:7f00:1::]", "[2001::1]", "[2a00:1450::5efe:7f00:1]",
	"[2a00:1450::200:5efe:a00:1]",
	// What one reader takes for the host and another for something else.
	"example.com@127.0.0.1", "example.com:80@127.0.0.1", "example.com%2f@127.0.0.1", "shop%40example.com@localhost", "[::ffff:127.0.0.1%25lo]",
}

// No address that is not public is called, in whatever disguise it comes: nobody listening on this machine is connected to,
// and nothing that was dialled is connected.
func TestForwardReachesNothingPrivate(t *testing.T) {
	t.Parallel()
	if len(hostile) < 100 {
		t.Fatalf("the corpus has %d addresses, want 100 and more", len(hostile))
	}
	port, accepted := everywhere(t)
	var connected, dialled atomic.Int32
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		ConnectStart: func(string, string) { dialled.Add(1) },
		ConnectDone: func(_, address string, err error) {
			if err == nil {
				connected.Add(1)
				t.Errorf("connected to %s", address)
			}
		},
		GotConn: func(httptrace.GotConnInfo) { t.Error("a request was given a connection") },
	})
	var wg sync.WaitGroup
	gate := make(chan struct{}, 32) // names are looked up, and the name server of a test machine may be slow
	refused := atomic.Int32{}
	for _, host := range hostile {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			if reach(ctx, t, fmt.Sprintf("http://%s:%d/", host, port)) {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 0 || connected.Load() != 0 {
		t.Errorf("%d connections were accepted and %d made, want none", accepted.Load(), connected.Load())
	}
	// Most of the corpus is known by its number, and refused when it is dialled; the rest are names that nobody knows.
	if refused.Load() < 100 || dialled.Load() < 100 {
		t.Errorf("%d of %d were refused for their address after %d dials, want 100 and more", refused.Load(), len(hostile), dialled.Load())
	}
}

// reach tells one address, and reports whether it was refused for being what it is.
func reach(ctx context.Context, t *testing.T, url string) bool {
	client := outbound.New(outbound.Options{Timeout: 2 * time.Second})
	defer client.CloseIdle()
	f := forwardTo(t, url, func(o *fulfill.ForwardOptions) { o.Client = client })
	receipt, err := f.Bring(ctx, toldOf(t, f, "forward:shop"), 0)
	var none *fulfill.NoEffect
	if receipt != "" || !errors.As(err, &none) {
		t.Errorf("Bring to %s = %q, %v, want it refused, with no effect", url, receipt, err)
	}
	return errors.Is(err, outbound.ErrRefusedAddress) && strings.Contains(err.Error(), "allow_private")
}

// everywhere listens on one port of every address of this machine, and counts who connects.
func everywhere(t *testing.T) (port int, accepted *atomic.Int32) {
	t.Helper()
	accepted = &atomic.Int32{}
	count := func(l net.Listener) {
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				conn.Close()
			}
		}()
	}
	all, err := net.Listen("tcp", ":0") // both families where there are both
	if err != nil {
		t.Fatal(err)
	}
	count(all)
	port = all.Addr().(*net.TCPAddr).Port
	if six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port)); err == nil { // where the first has one family only
		count(six)
	}
	return port, accepted
}

// The corpus would pass if the port were closed: with allow_private the same addresses are reached.
func TestForwardReachesPrivateWhenAllowed(t *testing.T) {
	t.Parallel()
	port, accepted := everywhere(t)
	for i, host := range []string{"127.0.0.1", "localhost", "0.0.0.0"} {
		f := forwardTo(t, fmt.Sprintf("http://%s:%d/", host, port))
		if _, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0); err == nil || int(accepted.Load()) <= i {
			t.Errorf("Bring to %s = %v, %d connections, want one that is hung up", host, err, accepted.Load())
		}
	}
}
