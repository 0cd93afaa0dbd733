package paypal

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// Undelivered yields the bodies of the events since a time, each as the API tells it, which is the body of the webhook and
// a little more: Identify knows it by the same id. An event whose transmissions PayPal tells and which all succeeded is
// left out. PayPal's published schema has no transmissions; then every event is yielded, and intake knows most of them.
//
// It stops at the first error. Asked again, it begins anew.
func (s *PayPal) Undelivered(ctx context.Context, since time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c := get(eventsPath)
		c.query = url.Values{"start_time": {since.UTC().Format(time.RFC3339)}, "page_size": {fmt.Sprint(eventPageSize)}}
		for range eventPagesMax {
			page, err := s.do(ctx, c)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, event := range page.Get("events").Array() {
				if !isDelivered(event) && !yield([]byte(event.Raw), nil) {
					return
				}
			}
			next, err := s.nextPage(page)
			if err != nil {
				yield(nil, err)
				return
			}
			if next == nil {
				return
			}
			c.query = next
		}
		yield(nil, makegood.Errorf(makegood.ProviderFailed, "PayPal lists more events than can be read at a time; begin later."))
	}
}

func isDelivered(event gjson.Result) bool {
	transmissions := event.Get("transmissions").Array()
	for _, t := range transmissions {
		if extract.Identifier(t.Get("status")) != "SUCCESS" {
			return false
		}
	}
	return len(transmissions) > 0
}

// nextPage returns the query of the next page, or nil. Of the link only the query is used: whatever host it names, we ask
// our own, and a link to another place is an error.
func (s *PayPal) nextPage(page gjson.Result) (url.Values, error) {
	for _, link := range page.Get("links").Array() {
		if extract.Identifier(link.Get("rel")) != "next" {
			continue
		}
		next, err := url.Parse(link.Get("href").String())
		if err != nil || next.Path != eventsPath || !s.isOurHost(next) || next.RawQuery == "" {
			return nil, makegood.Errorf(makegood.ProviderFailed, "PayPal's list of events goes on at another place.")
		}
		return next.Query(), nil
	}
	return nil, nil
}

// isOurHost takes a relative link, our own base, and the other name that PayPal's API has in our mode.
func (s *PayPal) isOurHost(u *url.URL) bool {
	if u.Host == "" && u.Scheme == "" || u.Scheme+"://"+u.Host == s.baseURL {
		return true
	}
	base, err := url.Parse(s.baseURL)
	return err == nil && u.Scheme == "https" && isOneOf(base.Host, hostsOf(s.live)) && isOneOf(u.Host, hostsOf(s.live))
}
