package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// APIVersion is the version of Stripe's API in which we ask, whatever the account's default is: an answer must not change
// its shape because somebody pressed "upgrade". From this version on, amounts of a session are in the merchant's currency
// even when the customer was shown another one (Stripe, changelog of Basil), which is what prices are compared with.
const APIVersion = "2025-03-31.basil"

// sessionsPath is the only resource to which we write.
const sessionsPath = "/v1/checkout/sessions"

// call is one request to the API.
type call struct {
	method         string
	path           string
	query          url.Values
	form           url.Values
	idempotencyKey string
	asOwner        bool // asked as the account that owns the key, whatever account the source is for
}

// do makes the call and returns the answer's JSON object, or an error as Interpret promises it.
func (s *Stripe) do(ctx context.Context, c call) (gjson.Result, error) {
	if s.apiKey.Empty() {
		return gjson.Result{}, makegood.Errorf(makegood.Unavailable, "The source %s has no API key for Stripe.", s.name)
	}
	req, err := s.request(ctx, c)
	if err != nil {
		return gjson.Result{}, fmt.Errorf("make a request to Stripe: %w", err)
	}
	resp, err := s.http.Do(ctx, req)
	if err != nil {
		return gjson.Result{}, makegood.Wrap(err, makegood.ProviderFailed, "Stripe cannot be reached, or did not answer in time.")
	}
	if resp.Status != http.StatusOK {
		return gjson.Result{}, s.refusal(c.method, resp)
	}
	answer, ok := extract.Object(resp.Body)
	if !ok {
		return gjson.Result{}, makegood.Errorf(makegood.ProviderFailed, "Stripe answered with something that cannot be read (request %s).", requestID(resp))
	}
	return answer, nil
}

func (s *Stripe) request(ctx context.Context, c call) (*http.Request, error) {
	target := s.baseURL + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, strings.NewReader(c.form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.apiKey.Reveal())
	req.Header.Set("Stripe-Version", APIVersion)
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if s.account != "" && !c.asOwner {
		req.Header.Set("Stripe-Account", s.account)
	}
	if c.idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", c.idempotencyKey)
	}
	return req, nil
}

// refusal makes an error of an answer that is not 200 (Stripe, "Errors"). Of the body it repeats type and code only: the
// message may contain a part of the key or the customer's address.
func (s *Stripe) refusal(method string, resp *outbound.Response) error {
	told := fmt.Sprintf("status %d, type %s, code %s, request %s", resp.Status,
		word(gjson.GetBytes(resp.Body, "error.type")), word(gjson.GetBytes(resp.Body, "error.code")), requestID(resp))
	switch status := resp.Status; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		refused := makegood.Errorf(makegood.Unavailable,
			"Stripe refuses the API key of source %s: it is wrong, expired, of another mode, or lacks a permission (%s).", s.name, told)
		if status == http.StatusForbidden {
			return fmt.Errorf("%w: %w", provider.ErrNotAllowed, refused)
		}
		return refused
	case status == http.StatusNotFound || status == http.StatusBadRequest && method == http.MethodGet && isMissing(resp):
		return makegood.Errorf(makegood.NotFound, "Stripe does not know it (%s).", told)
	case status == http.StatusTooManyRequests:
		wait, ok := outbound.RetryAfter(resp.Header, s.now())
		if !ok {
			wait = snoozeDefault
		}
		return &makegood.Snooze{For: max(wait, snoozeMin), Err: makegood.Errorf(makegood.RateLimited, "Stripe asks us to slow down (%s).", told)}
	case status == http.StatusConflict:
		// Another request under the same Idempotency-Key is still running, or the object is locked.
		return &makegood.Snooze{For: snoozeDefault, Err: makegood.Errorf(makegood.Conflict, "Stripe is busy with the same request (%s).", told)}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "Stripe rejects our request (%s).", told)}
	}
	return makegood.Errorf(makegood.ProviderFailed, "Stripe answered with an error (%s).", told)
}

// isMissing reports whether Stripe says that an object is not there. It does so with 404 when the object was asked for,
// and with 400 when it was only a filter of a list.
func isMissing(resp *outbound.Response) bool {
	return gjson.GetBytes(resp.Body, "error.code").Str == "resource_missing"
}

// shortWord is what Stripe's error types, codes and request ids are made of.
var shortWord = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

func word(r gjson.Result) string {
	if r.Type != gjson.String || !shortWord.MatchString(r.Str) {
		return "unknown"
	}
	return strings.Clone(r.Str)
}

func requestID(resp *outbound.Response) string {
	if id := resp.Header.Get("Request-Id"); shortWord.MatchString(id) {
		return id
	}
	return "unknown"
}

// retrieve asks for a session with all its line items.
func (s *Stripe) retrieve(ctx context.Context, id string) (session, error) {
	path := sessionsPath + "/" + url.PathEscape(id)
	answer, err := s.do(ctx, call{method: http.MethodGet, path: path, query: url.Values{"expand[]": {"line_items"}}})
	if err != nil {
		return session{}, err
	}
	if extract.Identifier(answer.Get("id")) != id {
		return session{}, makegood.Errorf(makegood.ProviderFailed, "Stripe answered with another session than was asked for.")
	}
	t := readSession(answer)
	if answer.Get("line_items.has_more").Type == gjson.True {
		// More than makegood.LinesMax are not needed: settling refuses them.
		t.items, err = s.rest(ctx, path+"/line_items", url.Values{}, answer.Get("line_items.data").Array(), makegood.LinesMax)
	}
	return t, err
}

// Ask returns what Stripe says of a session right now, by the same rules as Interpret. It has no time of its own, because
// a session does not tell when it was paid. A session that is still open gives no facts and a note. What is not shaped
// like a session's id, or is of the other mode, is makegood.NotFound without a call: ids come from the addresses of pages,
// and anybody can type there.
func (s *Stripe) Ask(ctx context.Context, sessionID string) (provider.Reading, error) {
	if live, ok := sessionMode(sessionID); !ok || live != s.live {
		return provider.Reading{}, makegood.Errorf(makegood.NotFound, "There is no such checkout session.")
	}
	t, err := s.retrieve(ctx, sessionID)
	if err != nil {
		return provider.Reading{}, err
	}
	if !t.isOf(s.live) {
		return provider.Reading{}, makegood.Errorf(makegood.NotFound, "There is no such checkout session.")
	}
	return s.reading(makegood.Event{}, t, stateOf(t)), nil
}

// Check lists one session: the cheapest read that a key restricted to Checkout Sessions may make.
func (s *Stripe) Check(ctx context.Context) error {
	_, err := s.do(ctx, call{method: http.MethodGet, path: sessionsPath, query: url.Values{"limit": {"1"}}})
	return err
}
