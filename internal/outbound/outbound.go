// Package outbound is the only way out of the house over HTTP: every request has a deadline, every answer has a size
// limit, no redirect is followed, no proxy of the environment is used, and no address of a private network is reached
// unless that was asked for.
package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Defaults of Options and limits that cannot be changed.
const (
	// DefaultTimeout is for a whole request, from dialling to the last byte of the answer.
	DefaultTimeout = 10 * time.Second
	// DefaultBodyBytesMax is for the body of an answer, after decompression. API answers are a few kB.
	DefaultBodyBytesMax = 1 << 20
	// headerBytesMax is for the headers of an answer; the standard library would read 10 MB.
	headerBytesMax = 64 << 10
	// idleTimeout is below the 60 seconds after which most servers and load balancers hang up.
	idleTimeout = 50 * time.Second
	// defaultIdlePerHost is enough for the workers that talk to one provider at a time.
	defaultIdlePerHost = 8
)

// Options are the limits of a Client. The zero Options are good.
type Options struct {
	Timeout        time.Duration // for the whole request; default DefaultTimeout
	BodyBytesMax   int64         // of an answer; default DefaultBodyBytesMax
	AllowPrivate   bool          // also reach addresses that are not public, such as loopback and 10.0.0.0/8
	UserAgent      string        // sent when the request has none; default "makegood"
	MaxIdlePerHost int           // connections kept for the next request; default 8
	// Changed is told when a destination (scheme and host) begins to rest after repeated failures, and when it is well
	// again. It must not block; nil is nobody.
	Changed func(target string, resting bool)
	Now     func() time.Time // measures the rests; time.Now when nil
	// NeverRest is for whoever wants to know each time whether the other side answers.
	NeverRest bool
}

// Client sends requests within its Options. It is safe for concurrent use; make one and keep it, because it keeps
// connections.
type Client struct {
	options  Options
	http     *http.Client
	breakers *breakers
	skews    *skews
}

// Response is an answer that was read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// New makes a Client.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.BodyBytesMax <= 0 {
		o.BodyBytesMax = DefaultBodyBytesMax
	}
	if o.UserAgent == "" {
		o.UserAgent = "makegood"
	}
	if o.MaxIdlePerHost <= 0 {
		o.MaxIdlePerHost = defaultIdlePerHost
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{options: o, breakers: &breakers{now: o.Now, changed: o.Changed, all: map[destination]*breaker{}}, skews: &skews{all: map[string]Skew{}}, http: &http.Client{
		Transport:     transport(o),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// transport has no Proxy on purpose: a proxy would be dialled in the place of the address that we check.
func transport(o Options) *http.Transport {
	return &http.Transport{
		DialContext:            dialer(o).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    o.MaxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    o.Timeout,
		MaxResponseHeaderBytes: headerBytesMax,
	}
}

func dialer(o Options) *net.Dialer {
	d := &net.Dialer{Timeout: o.Timeout}
	if !o.AllowPrivate {
		d.Control = refusePrivate
	}
	return d
}

// Do sends req and reads the whole answer. Any status is an answer and no error, a redirect too. It ends at the
// deadline of ctx or after Options.Timeout, whichever is first; the context inside req is not used.
//
// An error is always an *Error. Its text has scheme and host of the URL and nothing else of it, because paths, queries
// and userinfo hold secrets. MaybeSent says whether the other side may have acted on the request.
//
// A destination that failed five times in a row (no answer, or a status of 500 and above) is left alone for a moment, for
// questions (GET) and for everything else apart: then the error is ErrResting and a *makegood.Snooze, and nothing was sent.
//
// A request that carries an Idempotency-Key may be sent again by the standard library when a kept connection turns out
// to be dead; it is then the same request under the same key.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	if err := checkTarget(req.URL); err != nil {
		return nil, &Error{Target: target(req.URL), Err: err}
	}
	to := destinationOf(req)
	if c.options.NeverRest {
		return c.send(ctx, req)
	}
	tries, err := c.breakers.admit(to)
	if err != nil {
		return nil, &Error{Target: to.target, Err: err}
	}
	resp, err := c.send(ctx, req)
	switch {
	case ctx.Err() != nil: // whoever asked has gone; that says nothing of the other side
		c.breakers.abandon(to, tries)
	case errors.Is(err, ErrRefusedAddress), errors.Is(err, ErrBodyTooLarge):
		c.breakers.abandon(to, tries)
	default:
		c.breakers.settle(to, tries, err != nil || isFailure(resp.Status))
	}
	return resp, err
}

// Ready reports whether a request to url with that method could be sent now, or a *makegood.Snooze that is ErrResting. It
// spares whoever has to prepare a request the work.
func (c *Client) Ready(method, url string) error {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil // Do says what is wrong with it
	}
	to := destinationOf(req)
	c.breakers.mu.Lock()
	defer c.breakers.mu.Unlock()
	if d := c.breakers.all[to]; d != nil {
		if wait := d.wait(c.breakers.now()); wait > 0 {
			return &Error{Target: to.target, Err: resting(to, wait)}
		}
	}
	return nil
}

func (c *Client) send(ctx context.Context, req *http.Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()

	// Bytes of a request can only leave through a connection that the transport was given.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	out := req.Clone(ctx)
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", c.options.UserAgent)
	}
	sent := c.options.Now()
	resp, err := c.http.Do(out)
	if err != nil {
		return nil, &Error{Target: target(req.URL), Err: withoutURL(err), maybeSent: connected.Load()}
	}
	defer resp.Body.Close()
	c.skews.measure(target(req.URL), resp.Header, sent, c.options.Now())
	body, err := c.readBody(resp)
	if err != nil {
		return nil, &Error{Target: target(req.URL), Status: resp.StatusCode, Err: err, maybeSent: true}
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// readBody reads one byte more than is allowed, to tell a body that fits from one that was cut.
func (c *Client) readBody(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > c.options.BodyBytesMax && resp.Request.Method != http.MethodHead {
		return nil, ErrBodyTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.options.BodyBytesMax+1))
	if err != nil {
		return nil, withoutURL(err)
	}
	if int64(len(body)) > c.options.BodyBytesMax {
		return nil, ErrBodyTooLarge
	}
	return body, nil
}

// CloseIdle closes the connections that are kept for the next request. The Client can be used afterwards.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }
