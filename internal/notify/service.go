package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// service is what the channels over HTTP have in common: how a request leaves, and what it means when it comes to nothing.
type service struct {
	kind string // such as "slack"
	base string // scheme, host and beginning of the path, without a slash at the end
	http *outbound.Client
	now  func() time.Time
}

// newService refuses a base that is no plain address. A nil client or clock panics: the wiring is broken.
func newService(kind, base, usual string, c *outbound.Client, now func() time.Time) (service, error) {
	if c == nil || now == nil {
		panic("notify: a channel of kind " + kind + " without a client or a clock")
	}
	base = cmp.Or(base, usual)
	if !isPlainURL(base) || strings.ContainsAny(base, "?#") {
		return service{}, refuse(kind, "the address of the service is not a plain http or https address")
	}
	return service{kind: kind, base: strings.TrimRight(base, "/"), http: c, now: now}, nil
}

// refuse is what a constructor says of options that cannot work. It never repeats a value: it may be a secret in the wrong
// place.
func refuse(kind, problem string) error {
	return makegood.Errorf(makegood.Invalid, "A channel of kind %s cannot work: %s.", kind, problem)
}

// isPlainURL reports whether s is http or https with a host and without a user.
func isPlainURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && isHeader(s)
}

var headerText = regexp.MustCompile(`^[!-~]+$`)

// isHeader reports whether s can stand in a header: no blank, no line break, nothing that was pasted along.
func isHeader(s string) bool { return headerText.MatchString(s) }

// do sends a request and returns the answer if it is a 2xx. Everything else is an *Error. With GET nothing can have been
// told, so there is no doubt.
func (s service) do(ctx context.Context, req *http.Request, code func([]byte) string) (*outbound.Response, error) {
	resp, err := s.http.Do(ctx, req)
	return s.judge(req, resp, err, code)
}

// judge says what became of a request.
func (s service) judge(req *http.Request, resp *outbound.Response, err error, code func([]byte) string) (*outbound.Response, error) {
	var cut *outbound.Error
	if errors.As(err, &cut) && cut.Status != 0 { // the answer broke off or was too large, but its status is known
		resp, err = &outbound.Response{Status: cut.Status, Header: http.Header{}}, nil
		if cut.Status < 300 {
			return nil, &Error{Channel: s.kind, Reason: ReasonServer, Status: cut.Status, Doubt: req.Method != http.MethodGet, Err: cut}
		}
	}
	if err != nil {
		e := unreached(s.kind, err)
		e.Doubt = e.Doubt && req.Method != http.MethodGet
		return nil, e
	}
	if resp.Status >= 200 && resp.Status <= 299 {
		return resp, nil
	}
	e := s.refusal(resp, "")
	if code != nil {
		e.Code = safeCode(code(resp.Body))
	}
	e.Doubt = e.Doubt && req.Method != http.MethodGet
	return nil, e
}

// unreached judges a request to which there was no whole answer.
func unreached(kind string, err error) *Error {
	e := &Error{Channel: kind, Reason: ReasonNetwork, Doubt: outbound.MaybeSent(err), Err: err}
	var (
		name    *net.DNSError
		network net.Error
		snooze  *makegood.Snooze
	)
	switch {
	case errors.Is(err, outbound.ErrResting):
		e.Reason, e.Doubt = ReasonResting, false
		if errors.As(err, &snooze) {
			e.RetryAfter = snooze.For
		}
	case errors.Is(err, outbound.ErrRefusedAddress), errors.Is(err, outbound.ErrTarget):
		e.Reason = ReasonClient
	case errors.As(err, &name):
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.Reason = ReasonTimeout
	}
	return e
}

// refusal judges a status that is no success, as HTTP means it. A 5xx may come from something between us and a service
// that has heard us; a 4xx is its own word that it has not done it.
func (s service) refusal(resp *outbound.Response, code string) *Error {
	e := &Error{Channel: s.kind, Status: resp.Status, Code: safeCode(code)}
	asked, says := outbound.RetryAfter(resp.Header, s.now())
	switch status := resp.Status; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Reason = ReasonAuth
	case status == http.StatusTooManyRequests:
		e.Reason, e.RetryAfter = ReasonRateLimit, retryAfterUsual
	case status >= 500:
		e.Reason, e.Doubt = ReasonServer, true
	default: // a redirect too: the address is not the service's
		e.Reason = ReasonClient
	}
	if says && (e.Reason == ReasonRateLimit || e.Reason == ReasonServer) {
		e.RetryAfter = asked
	}
	e.RetryAfter = min(e.RetryAfter, retryAfterMax)
	return e
}

// unread is an answer that says success and is not understood: the service may well have done it.
func (s service) unread(resp *outbound.Response) *Error {
	return &Error{Channel: s.kind, Reason: ReasonServer, Status: resp.Status, Doubt: true, Err: errors.New("the answer is not understood")}
}

// codeText is what a code may look like that is repeated: words and short numbers. A telephone number is no code.
var codeText = regexp.MustCompile(`^(?:[a-z][a-z_]{0,63}|[0-9]{1,6})$`)

func safeCode(s string) string {
	if codeText.MatchString(s) {
		return s
	}
	return ""
}

// codeNumber reads the field code of a JSON body, a number.
func codeNumber(body []byte) string {
	var said struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(body, &said) != nil || said.Code == 0 {
		return ""
	}
	return strconv.Itoa(said.Code)
}

// remoteText is what an id of a service may look like that is kept.
var remoteText = regexp.MustCompile(`^[A-Za-z0-9_.:@<>+-]{1,200}$`)

// json makes a request with a JSON body; a nil body is none. The path begins with a slash.
func (s service) json(ctx context.Context, method, path string, body any) *http.Request {
	var b bytes.Buffer
	if body != nil {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(body); err != nil {
			panic(fmt.Sprintf("unreachable: %s: %v", s.kind, err)) // our own types of strings and numbers
		}
	}
	return s.request(ctx, method, path, "application/json; charset=utf-8", b.Bytes())
}

func (s service) request(ctx context.Context, method, path, contentType string, body []byte) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		panic("unreachable: the address was read before: " + s.kind)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	return req
}

func bearer(req *http.Request, token secret.Value) {
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
}

// cut shortens s to at most n characters, and shows that it did.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return strings.TrimSpace(string(r[:n-1])) + "…"
}

// cutBytes shortens s to at most n bytes of whole characters.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}

// ended lists the messages of the past of which nothing is open any more and that can be found, each RemoteID once: the
// newest, at most limit.
func ended(earlier []Earlier, limit int) []Earlier {
	open, seen := map[string]bool{}, map[string]bool{}
	for _, e := range earlier {
		open[e.RemoteID] = open[e.RemoteID] || e.Open > 0
	}
	var done []Earlier
	for _, e := range slices.Backward(earlier) {
		if e.RemoteID != "" && !open[e.RemoteID] && !seen[e.RemoteID] && len(done) < limit {
			seen[e.RemoteID] = true
			done = append(done, e)
		}
	}
	return done
}
