package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"
)

// HTTPOptions say how to look at a page.
type HTTPOptions struct {
	URL          string
	Method       string // GET by default
	Headers      map[string]string
	Body         string
	Conditions   []Condition    // all must hold; none is that any answer will do
	Redirects    int            // how many are followed; by default none, so that [STATUS] is that of the page itself
	AllowPrivate bool           // also look at addresses that are not public
	Roots        *x509.CertPool // authorities to trust; nil is the system's
	UserAgent    string         // "makegood" by default
	Now          func() time.Time
}

// HTTP looks at a page or an API. Every look has a connection of its own, so that it also finds what new visitors would: a
// name that is gone, a port that is closed, a certificate that has expired.
type HTTP struct {
	options HTTPOptions
	url     *url.URL
	client  *http.Client
	hide    []string // what must not be shown, wherever it turns up
	read    bool     // some condition looks at the body
}

var _ Prober = (*HTTP)(nil)

// NewHTTP makes a prober. It refuses an address that is not one, and conditions that mean nothing for a page; the error carries
// neither the query of the address nor a header.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address is no URL that begins with http:// or https://")
	}
	if err := checkAll(KindHTTP, o.Conditions); err != nil {
		return nil, err
	}
	if o.Redirects < 0 || o.Redirects > redirectsMax {
		return nil, fmt.Errorf("between 0 and %d redirects can be followed", redirectsMax)
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	if o.UserAgent == "" {
		o.UserAgent = "makegood"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h := &HTTP{options: o, url: u, hide: secretsOf(u, o.Headers), read: uses(o.Conditions, body)}
	if _, err := h.request(context.Background()); err != nil {
		return nil, errors.New("the method or a header cannot be sent")
	}
	h.client = &http.Client{Transport: h.transport(), CheckRedirect: h.redirect}
	return h, nil
}

func checkAll(k Kind, all []Condition) error {
	for _, c := range all {
		if err := c.Check(k); err != nil {
			return err
		}
	}
	return nil
}

// secretsOf lists what an answer could echo and nobody may read: values of the query, of headers, and the password.
func secretsOf(u *url.URL, headers map[string]string) []string {
	var all []string
	add := func(s string) {
		if len(s) >= 4 { // what is shorter is no secret, and hiding it would garble what is shown
			all = append(all, s)
		}
	}
	add(u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
		}
	}
	if password, ok := u.User.Password(); ok {
		add(password)
	}
	for _, v := range headers {
		add(v)
		if _, token, ok := strings.Cut(v, " "); ok {
			add(token)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // the longer first: one may be part of another
	return all
}

func (h *HTTP) transport() *http.Transport {
	return &http.Transport{
		DialContext:            dialer(h.options.AllowPrivate).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: h.options.Roots, Time: h.options.Now},
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (h *HTTP) redirect(_ *http.Request, via []*http.Request) error {
	if len(via) > h.options.Redirects {
		return http.ErrUseLastResponse
	}
	return nil
}

func (h *HTTP) request(ctx context.Context) (*http.Request, error) {
	var text io.Reader
	if h.options.Body != "" {
		text = strings.NewReader(h.options.Body)
	}
	req, err := http.NewRequestWithContext(ctx, h.options.Method, h.url.String(), text)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", h.options.UserAgent)
	for name, value := range h.options.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

// Look asks once.
func (h *HTTP) Look(ctx context.Context) Sight {
	ctx, cancel, limit := limited(ctx)
	defer cancel()
	began := h.options.Now()
	way := &way{}
	req, err := h.request(httptrace.WithClientTrace(ctx, way.trace()))
	if err != nil {
		return Sight{At: began, Unknown: true, Trouble: "the request cannot be made"}
	}
	start := time.Now()
	f := facts{hasConnected: true}
	resp, err := h.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		f.body, err = h.readBody(resp.Body)
		f.status, f.header = resp.StatusCode, resp.Header
		if resp.TLS != nil {
			if at, ok := expiry(resp.TLS); ok {
				f.expires, f.hasExpires = at.Sub(began), true
			}
		}
	}
	f.took = max(time.Since(start), 1)
	f.connected, f.ip = way.result()
	s := Sight{At: began, Took: f.took}
	if err != nil {
		a := attempt{host: h.url.Hostname(), connected: f.connected, waited: limit}
		return failed(ctx, s, a, err, h.options.Conditions)
	}
	s.Trouble = judge(h.options.Conditions, &f, h.hide)
	return s
}

// failed is the sight of a look that got no answer. That is well when it is what the conditions expect: a port that must be
// closed has the only condition [CONNECTED] == false.
func failed(ctx context.Context, s Sight, a attempt, err error, all []Condition) Sight {
	s.Trouble, s.Unknown = a.explain(ctx, err)
	if !s.Unknown && !a.connected && len(all) > 0 && judge(all, &facts{hasConnected: true}, nil) == "" {
		s.Trouble = ""
	}
	return s
}

// readBody reads at most BodyBytesMax. What no condition looks at is read too, because a page that breaks off is broken, but
// not kept.
func (h *HTTP) readBody(r io.Reader) (*document, error) {
	if !h.read {
		_, err := io.Copy(io.Discard, io.LimitReader(r, BodyBytesMax))
		return &document{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, BodyBytesMax+1))
	if len(raw) > BodyBytesMax {
		return &document{raw: raw[:BodyBytesMax], cut: true}, err
	}
	return &document{raw: raw}, err
}
