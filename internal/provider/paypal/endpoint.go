package paypal

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood/internal/provider/extract"
)

// neededTypes are the types without which an order, or the end of one, is not heard of. PayPal does not offer the others
// that we read to every app, so their absence is no trouble.
func neededTypes() []string {
	return []string{typeOrderApproved, typeCaptureCompleted, typeCapturePending, typeCaptureDenied, typeCaptureRefunded, typeCaptureReversed}
}

// CheckEndpoint looks whether one of our webhooks is registered, leads to address, and brings every type that is needed.
// PayPal lists all webhooks of an app at once (at most 10, its webhooks guide), and switches none off.
func (s *PayPal) CheckEndpoint(ctx context.Context, address string) ([]string, error) {
	answer, err := s.do(ctx, get(webhooksPath))
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, registered := range answer.Get("webhooks").Array() {
		if !s.isOurs(extract.Identifier(registered.Get("id"))) {
			continue
		}
		if problems = troubleOf(registered, address); len(problems) == 0 {
			return nil, nil // one that is good is enough
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	return []string{"none of our webhooks is registered"}, nil
}

// isOurs reports whether deliveries that are signed for this webhook would be proved now.
func (s *PayPal) isOurs(id string) bool {
	now := s.now()
	return slices.ContainsFunc(s.webhooks, func(w webhook) bool { return w.id.Proves(now) && w.id.Value.Reveal() == id })
}

func troubleOf(registered gjson.Result, address string) (problems []string) {
	leads := extract.Identifier(registered.Get("url"))
	if strings.TrimSuffix(leads, "/") != strings.TrimSuffix(address, "/") {
		host := "an address that cannot be read"
		if u, err := url.Parse(leads); err == nil && u.Host != "" {
			host = u.Host
		}
		problems = append(problems, fmt.Sprintf("the webhook leads to another address, at %s", host))
	}
	var brought []string
	for _, t := range registered.Get("event_types").Array() {
		brought = append(brought, t.Get("name").String())
	}
	missing := slices.DeleteFunc(neededTypes(), func(t string) bool { return slices.Contains(brought, t) || slices.Contains(brought, "*") })
	if len(missing) > 0 {
		problems = append(problems, "the webhook does not bring "+strings.Join(missing, ", "))
	}
	return problems
}

// Delivered returns the events of the newest page since a time whose transmissions all succeeded, of the types that we
// read. An event without transmissions tells nothing of them, and is left out.
func (s *PayPal) Delivered(ctx context.Context, since time.Time) ([][]byte, error) {
	c := get(eventsPath)
	c.query = url.Values{"start_time": {since.UTC().Format(time.RFC3339)}, "page_size": {fmt.Sprint(eventPageSize)}}
	page, err := s.do(ctx, c)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for _, event := range page.Get("events").Array() {
		if isDelivered(event) && s.reader(extract.Identifier(event.Get("event_type"))) != nil {
			bodies = append(bodies, []byte(event.Raw))
		}
	}
	return bodies, nil
}
