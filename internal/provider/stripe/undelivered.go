package stripe

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

const eventsPath = "/v1/events"

// Undelivered yields the events since a time that at least one endpoint of the account has not taken, of the types that
// change an order, oldest first, each as Stripe answers it (Stripe, "Process undelivered webhook events"). It reaches 30
// days back, because Stripe lists no older events. Events that Stripe will still repeat by itself are among them, and so
// are events that only somebody else's endpoint has not taken: an event is known by its id, so that to take one twice does
// nothing. What somebody else's endpoint does not take of other types is not ours.
//
// It stops at the first error. An event that is undelivered while it runs may be left to the next run.
func (s *Stripe) Undelivered(ctx context.Context, since time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := s.eachUndelivered(ctx, since, func(body []byte) bool { return yield(body, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// eachUndelivered pages from old to new: Stripe's lists are newest first, and ending_before turns them round, from an
// event that is older than all that are wanted. Usually there is no more than a page, and no second call is needed. yield
// says whether to go on.
func (s *Stripe) eachUndelivered(ctx context.Context, since time.Time, yield func([]byte) bool) error {
	from := max(since.Unix(), s.now().Add(-eventAgeMax).Unix())
	wanted := url.Values{
		"delivery_success": {"false"}, "types[]": EventTypes(), "created[gte]": {strconv.FormatInt(from, 10)}, "limit": {fmt.Sprint(eventPageSize)},
	}
	items, more, err := s.page(ctx, eventsPath, wanted)
	if err != nil {
		return err
	}
	anchor := ""
	if more {
		if items, anchor, err = s.oldest(ctx, wanted, from); err != nil || anchor == "" {
			return err
		}
	}
	for range eventPagesMax {
		for _, item := range slices.Backward(items) {
			if !yield(s.delivered(item)) {
				return nil
			}
		}
		if !more {
			return nil
		}
		if err := forward(wanted, "ending_before", anchor); err != nil {
			return err
		}
		if items, more, err = s.page(ctx, eventsPath, wanted); err != nil {
			return err
		}
		if len(items) > 0 {
			anchor = firstID(items) // the newest, from which the next page goes on
		}
	}
	return makegood.Errorf(makegood.TooLarge, "Stripe has more undelivered events than one run takes.")
}

func firstID(items []gjson.Result) string { return extract.Identifier(items[0].Get("id")) }

// oldest returns an event to page up from. Usually that is the newest event of before, whatever became of it. An account
// that has none walks down to its oldest page, which is then the first.
func (s *Stripe) oldest(ctx context.Context, wanted url.Values, from int64) (items []gjson.Result, anchor string, err error) {
	before, _, err := s.page(ctx, eventsPath, url.Values{"created[lt]": {strconv.FormatInt(from, 10)}, "limit": {"1"}})
	if err != nil {
		return nil, "", err
	}
	if len(before) > 0 {
		return nil, firstID(before), nil
	}
	down := maps.Clone(wanted)
	more := true
	for n := 0; more && n < eventPagesMax; n++ {
		if items, more, err = s.page(ctx, eventsPath, down); err != nil || len(items) == 0 {
			return nil, "", err
		}
		if err := forward(down, "starting_after", lastID(items)); err != nil {
			return nil, "", err
		}
	}
	return items, firstID(items), nil
}

// Delivered returns the newest events since a time that every endpoint of the account has taken, of the types that we
// read, as many as are on one page.
func (s *Stripe) Delivered(ctx context.Context, since time.Time) ([][]byte, error) {
	from := max(since.Unix(), s.now().Add(-eventAgeMax).Unix())
	items, _, err := s.page(ctx, eventsPath, url.Values{
		"delivery_success": {"true"}, "types[]": EventTypes(), "created[gte]": {strconv.FormatInt(from, 10)}, "limit": {fmt.Sprint(eventPageSize)},
	})
	bodies := make([][]byte, 0, len(items))
	for _, item := range items {
		bodies = append(bodies, s.delivered(item))
	}
	return bodies, err
}

// delivered is an event as a webhook would have brought it. When we ask in the name of a connected account, Stripe need
// not say whose the event is, while its webhook does, and the account is a part of the event's identity.
func (s *Stripe) delivered(item gjson.Result) []byte {
	body := []byte(item.Raw)
	if s.account == "" || item.Get("account").Exists() || !item.IsObject() {
		return body
	}
	return append([]byte(`{"account":"`+s.account+`",`), body[1:]...)
}
