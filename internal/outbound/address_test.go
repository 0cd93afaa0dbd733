package outbound_test

import (
	"net/netip"
	"testing"

	"github.com/makegood/makegood/internal/outbound"
)

// refused is a corpus of the addresses that server-side request forgery goes for, with the edges of every block.
var refused = []string{
	// unspecified and this network
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "::",
	// loopback
	"127.0.0.1", "127.0.0.0", "127.1.2.3", "127.127.127.127", "127.255.255.255", "::1",
	// private
	"10.0.0.0", "10.0.0.1", "10.1.2.3", "10.255.255.255", "172.16.0.0", "172.16.0.1", "172.17.0.1", "172.20.10.1",
	"172.31.255.255", "192.168.0.0", "192.168.0.1", "192.168.1.254", "192.168.255.255",
	// link-local and metadata
	"169.254.0.0", "169.254.0.1", "169.254.169.253", "169.254.169.254", "169.254.170.2", "169.254.255.255",
	"168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe",
	"febf:ffff::1",
	// shared
	"100.64.0.0", "100.64.0.1", "100.127.255.255",
	// assignments, documentation, benchmarks
	"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.0.2.255", "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.9",
	"192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1",
	// multicast, reserved, broadcast
	"224.0.0.0", "224.0.0.1", "239.255.255.250", "239.255.255.255", "240.0.0.0", "240.0.0.1", "254.1.2.3", "255.255.255.254",
	"255.255.255.255",
	// IPv4-mapped
	"::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:172.16.0.1", "::ffff:192.168.1.1",
	"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:100.64.0.1", "::ffff:224.0.0.1", "::ffff:255.255.255.255",
	// IPv4-compatible and IPv4-translated
	"::127.0.0.1", "::10.0.0.1", "::a9fe:a9fe", "::8.8.8.8", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
	// NAT64 with something private inside, and the local prefix
	"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::192.168.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::100.64.0.1",
	"64:ff9b::0.0.0.0", "64:ff9b:1::127.0.0.1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::1",
	// 6to4
	"2002:7f00:1::", "2002:7f00:1::1", "2002:a00:1::", "2002:c0a8:101::", "2002:a9fe:a9fe::", "2002:808:808::1",
	// Teredo, ORCHID, benchmarks, documentation, ISATAP
	"2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::", "2001:db8::1",
	"2001:db8:ffff::", "3fff::1", "3fff:fff::1", "2620:4f:8000::1", "2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1",
	// unique local, site-local, multicast, discard, segment routing, never given out
	"fc00::1", "fd00::1", "fdff:ffff::1", "fec0::1", "ff00::1", "ff02::1", "ff02::fb", "ff0e::1", "100::1", "100:0:0:1::1", "5f00::1",
	"4000::1", "8000::1", "e000::1", "1fff::1",
	// zones must not open what is closed
	"::1%lo", "fd00::1%eth0", "2001:db8::1%eth0", "64:ff9b::7f00:1%eth0",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "1.0.0.0", "9.255.255.255", "11.0.0.0", "54.187.174.169", "100.63.255.255", "100.128.0.0", "126.255.255.255",
	"128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
	"192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.114.0", "223.255.255.255",
	"2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2003::1", "3ffe:ffff::1", "3fff:1000::1",
	"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b::101:101", "2a00:1450::5eff:1",
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	if len(refused) < 100 {
		t.Fatalf("the corpus has %d addresses, want 100 and more", len(refused))
	}
	for _, s := range refused {
		if outbound.IsPublic(netip.MustParseAddr(s)) {
			t.Errorf("IsPublic(%s) = true, want false", s)
		}
	}
	for _, s := range public {
		if !outbound.IsPublic(netip.MustParseAddr(s)) {
			t.Errorf("IsPublic(%s) = false, want true", s)
		}
	}
	if outbound.IsPublic(netip.Addr{}) {
		t.Error("IsPublic of no address = true, want false")
	}
}
