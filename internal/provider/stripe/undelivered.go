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

// Undelivered yields the events since a time that at least one endpoint of the account has not taken, oldest first, each
// as Stripe answers it (Stripe, "Process undelivered webhook events"). It reaches 30 days back, because Stripe lists no
// older events. Events that Stripe will still repeat by itself are among them, and so are events that only somebody else's
// endpoint has not taken: an event is known by its id, so that to take one twice does nothing.
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
// event that is older than all that are wanted. yield says whether to go on.
func (s *Stripe) eachUndelivered(ctx context.Context, since time.Time, yield func([]byte) bool) error {
	from := max(since.Unix(), s.now().Add(-eventAgeMax).Unix())
	wanted := url.Values{
		"delivery_success": {"false"}, "created[gte]": {strconv.FormatInt(from, 10)}, "limit": {fmt.Sprint(eventPageSize)},
	}
	items, anchor, err := s.oldest(ctx, wanted, from)
	if err != nil || anchor == "" {
		return err
	}
	more := true
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

// delivered is an event as a webhook would have brought it. When we ask in the name of a connected account, Stripe need
// not say whose the event is, while its webhook does, and the account is a part of the event's identity.
func (s *Stripe) delivered(item gjson.Result) []byte {
	body := []byte(item.Raw)
	if s.account == "" || item.Get("account").Exists() || !item.IsObject() {
		return body
	}
	return append([]byte(`{"account":"`+s.account+`",`), body[1:]...)
}
