package recipe

import "net/http"

// row is one provider.
type row struct {
	info Info
	key  keyForm
	// keyPrefix is taken off a secret before it is decoded.
	keyPrefix string
	schemes   []scheme // the first of which a header is there is taken, and the last when none is
	reading   reading
	// transmission names the headers that name a delivery and are signed; the first that is there counts.
	transmission []string
	// keyPrefixes are what API keys of the live and of the test mode begin with, where they tell.
	keyPrefixes map[bool]string
}

// table is all rows but the one that a user writes.
func table() []row {
	return []row{
		adyen(), github(), gumroad(), lemonSqueezy(), mollie(), mollieClassic(), paddle(), polar(), razorpay(), shopify(),
		square(), standardWebhooks(), svix(),
	}
}

func (r row) apiBase(live bool) string {
	if !live && r.info.TestAPIBase != "" {
		return r.info.TestAPIBase
	}
	return r.info.APIBase
}

// headers are all that the row looks at, in the order of its schemes.
func (r row) headers() []string {
	var all []string
	seen := map[string]bool{}
	add := func(name string) {
		if key := http.CanonicalHeaderKey(name); name != "" && !seen[key] {
			seen[key] = true
			all = append(all, name)
		}
	}
	for _, s := range r.schemes {
		add(s.header)
		add(s.timeHeader)
		add(s.idHeader)
	}
	for _, name := range r.transmission {
		add(name)
	}
	return all
}

// schemeFor chooses by the headers that are there. Headers of two schemes are never mixed.
func (r row) schemeFor(h http.Header) *scheme {
	for i := range r.schemes {
		s := &r.schemes[i]
		for _, name := range []string{s.header, s.timeHeader, s.idHeader} {
			if name != "" && len(h.Values(name)) > 0 {
				return s
			}
		}
	}
	return &r.schemes[len(r.schemes)-1]
}
