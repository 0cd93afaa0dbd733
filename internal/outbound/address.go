package outbound

import (
	"fmt"
	"net/netip"
	"syscall"
)

// special4 are the IPv4 blocks that are not for the public: the IANA special-purpose registry (RFC 6890 and successors),
// multicast, and the addresses at which clouds answer questions about a machine.
var special4 = prefixes(
	"0.0.0.0/8",          // this network, RFC 791
	"10.0.0.0/8",         // private, RFC 1918
	"100.64.0.0/10",      // carrier-grade NAT, RFC 6598; Alibaba's metadata 100.100.100.200
	"127.0.0.0/8",        // loopback, RFC 1122
	"168.63.129.16/32",   // Azure's wire server: metadata at a public-looking address
	"169.254.0.0/16",     // link-local, RFC 3927; metadata 169.254.169.254
	"172.16.0.0/12",      // private, RFC 1918
	"192.0.0.0/24",       // IETF protocol assignments, RFC 6890; Oracle's metadata 192.0.0.192
	"192.0.2.0/24",       // documentation, RFC 5737
	"192.31.196.0/24",    // AS112, RFC 7535
	"192.52.193.0/24",    // AMT, RFC 7450
	"192.88.99.0/24",     // 6to4 relays, RFC 7526
	"192.168.0.0/16",     // private, RFC 1918
	"192.175.48.0/24",    // AS112, RFC 7534
	"198.18.0.0/15",      // benchmarking, RFC 2544
	"198.51.100.0/24",    // documentation, RFC 5737
	"203.0.113.0/24",     // documentation, RFC 5737
	"224.0.0.0/4",        // multicast, RFC 5771
	"240.0.0.0/4",        // reserved, RFC 1112
	"255.255.255.255/32", // broadcast, RFC 919
)

// global6 is the only IPv6 block from which public addresses are given out (RFC 4291); special6 are the holes in it.
var (
	global6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes(
		"2001::/23",     // IETF protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID
		"2001:db8::/32", // documentation, RFC 3849
		"2002::/16",     // 6to4, RFC 3056: carries an IPv4 address; nobody routes it any more, RFC 7526
		"2620:4f:8000::/48",
		"3fff::/20", // documentation, RFC 9637
	)
	// nat64 carries an IPv4 address in its last four bytes, RFC 6052. It cannot be refused as a whole: on a machine with
	// IPv6 only, every IPv4 service is behind it.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// IsPublic reports whether addr belongs to a machine on the public Internet. Loopback, private, link-local, shared,
// multicast, reserved, documentation and metadata addresses do not, nor do IPv6 addresses that carry one of those inside.
func IsPublic(addr netip.Addr) bool {
	addr = addr.Unmap() // an address with a zone is in no prefix, and so it is not public
	switch {
	case !addr.IsValid():
		return false
	case addr.Is4():
		return !anyContains(special4, addr)
	case nat64.Contains(addr):
		b := addr.As16()
		return IsPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	return global6.Contains(addr) && !anyContains(special6, addr) && !isISATAP(addr)
}

func anyContains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// isISATAP knows the interface identifiers of RFC 5214, which tunnel to the IPv4 address in the last four bytes.
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// refusePrivate is a net.Dialer.Control: it sees each address after the name was resolved and before anything is sent,
// so a name that resolves differently the second time cannot slip past it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: it cannot be read", ErrRefusedAddress)
	}
	if !IsPublic(ap.Addr()) {
		return fmt.Errorf("%w: %s", ErrRefusedAddress, ap.Addr())
	}
	return nil
}
