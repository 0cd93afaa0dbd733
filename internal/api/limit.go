package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/makegood/makegood"
)

// Limiter keeps strangers from asking too often, per client address. It forgets the addresses that have been quiet.
type Limiter struct {
	perMinute int
	trusted   []netip.Prefix
	now       func() time.Time

	mu      sync.Mutex
	clients map[netip.Addr]*rate.Limiter
}

// clientsMax bounds the addresses that are remembered: 10,000 take about 2 MB. When it is full, all are forgotten, which
// gives everybody a fresh minute and an attacker with that many addresses nothing he did not have.
const clientsMax = 10_000

// NewLimiter allows perMinute requests a minute from one address, all of them at once if they like. trusted are the
// proxies whose X-Forwarded-For is believed.
func NewLimiter(perMinute int, trusted []netip.Prefix, now func() time.Time) *Limiter {
	return &Limiter{perMinute: perMinute, trusted: trusted, now: now, clients: make(map[netip.Addr]*rate.Limiter)}
}

// Limit answers 429 when the client asks too often.
func (l *Limiter) Limit(h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !l.allow(clientAddress(r, l.trusted)) {
			w.Header().Set("Retry-After", "60")
			return makegood.Errorf(makegood.RateLimited, "Too many requests from your address; please wait a minute.")
		}
		return h(w, r)
	}
}

func (l *Limiter) allow(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.clients[client]
	if !ok {
		if len(l.clients) >= clientsMax {
			clear(l.clients)
		}
		limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(l.perMinute)), l.perMinute)
		l.clients[client] = limiter
	}
	return limiter.AllowN(l.now(), 1)
}

// clientAddress is the right-most address of X-Forwarded-For that is not a trusted proxy, when the request came over one;
// else the address of the connection (OWASP ASVS 5.0, 15.3.4). IPv6 clients are told apart by their /64, which is what one
// customer has.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, _ := netip.ParseAddr(host) // the zero address shares one limit, which is safe
	address = address.Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && isTrusted(address, trusted); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return address
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	for _, prefix := range trusted {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
