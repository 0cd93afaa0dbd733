package recipe

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// lookup is one question to the provider's API.
type lookup struct {
	id     []string       // where the id stands; the first that has the shape counts
	shape  *regexp.Regexp // nothing else is ever put into an address
	path   string         // what stands before the id
	query  string
	header map[string]string
	same   string // where the answer repeats the id
	// body are fields of a delivery that has enough in it to be read without asking; none is that it never has.
	body []string
}

// isNeeded reports whether the body of a delivery is not enough.
func (l *lookup) isNeeded(doc gjson.Result) bool {
	for _, path := range l.body {
		if doc.Get(path).Exists() {
			return false
		}
	}
	return true
}

func (l *lookup) idIn(p place) string {
	for _, path := range l.id {
		if id := extract.Identifier(p.get(path)); l.shape.MatchString(id) {
			return id
		}
	}
	return ""
}

// ask returns the API's answer about an id, or an error as Interpret promises it.
func (r *Recipe) ask(ctx context.Context, l *lookup, id string) (gjson.Result, error) {
	title := r.row.info.Title
	if r.apiKey.Empty() {
		return gjson.Result{}, makegood.Errorf(makegood.Unavailable, "The source %s has no API key for %s.", r.name, title)
	}
	target := r.apiBase + l.path + url.PathEscape(id)
	if l.query != "" {
		target += "?" + l.query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return gjson.Result{}, makegood.Wrap(err, makegood.ProviderFailed, "The request to "+title+" cannot be made.")
	}
	req.Header.Set("Authorization", "Bearer "+r.apiKey.Reveal())
	for name, value := range l.header {
		req.Header.Set(name, value)
	}
	resp, err := r.http.Do(ctx, req)
	if err != nil {
		return gjson.Result{}, makegood.Wrap(err, makegood.ProviderFailed, title+" cannot be reached, or did not answer in time.")
	}
	if resp.Status != http.StatusOK {
		return gjson.Result{}, r.refusal(resp)
	}
	answer, ok := extract.Object(resp.Body)
	if !ok || extract.Identifier(answer.Get(l.same)) != id {
		return gjson.Result{}, makegood.Errorf(makegood.ProviderFailed, "%s answered with something else than was asked for.", title)
	}
	return answer, nil
}

// refusal makes an error of an answer that is not 200. Nothing of its body is repeated: it may have a part of the key or
// the customer's address in it.
func (r *Recipe) refusal(resp *outbound.Response) error {
	title := r.row.info.Title
	switch status := resp.Status; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return makegood.Errorf(makegood.Unavailable,
			"%s refuses the API key of source %s: it is wrong, expired, of another mode, or lacks a permission (status %d).", title, r.name, status)
	case status == http.StatusNotFound:
		return makegood.Errorf(makegood.NotFound, "%s does not know it.", title)
	case status == http.StatusTooManyRequests:
		wait, ok := outbound.RetryAfter(resp.Header, r.now())
		if !ok {
			wait = snoozeDefault
		}
		return &makegood.Snooze{For: max(wait, snoozeMin), Err: makegood.Errorf(makegood.RateLimited, "%s asks us to slow down.", title)}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusConflict:
		return &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "%s rejects our request (status %d).", title, status)}
	}
	return makegood.Errorf(makegood.ProviderFailed, "%s answered with an error (status %d).", title, resp.Status)
}

// unlessOdd keeps an object that the provider has told us of, and then does not know, from being NotFound: that is no
// answer to whoever asks, but trouble that may pass.
func unlessOdd(err error) error {
	if errors.Is(err, makegood.NotFound) {
		return makegood.Wrap(err, makegood.ProviderFailed, "The provider does not know the object that its own delivery is about.")
	}
	return err
}

// Asking is a Recipe whose sessions can be asked for.
type Asking struct{ *Recipe }

// Ask returns what the provider says of a session right now, by the same rules as Interpret. What is not shaped like the
// id of a session is makegood.NotFound without a call: ids come from the addresses of pages, and anybody can type there.
// So is a session of the other mode.
func (a *Asking) Ask(ctx context.Context, sessionID string) (provider.Reading, error) {
	c := a.row.reading.confirm
	if !c.shape.MatchString(sessionID) {
		return provider.Reading{}, makegood.Errorf(makegood.NotFound, "There is no such payment.")
	}
	answer, err := a.ask(ctx, c, sessionID)
	if err != nil {
		return provider.Reading{}, err
	}
	if a.isLive(answer) != a.live {
		return provider.Reading{}, makegood.Errorf(makegood.NotFound, "There is no such payment.")
	}
	return a.read(ctx, makegood.Event{}, answer)
}
