package inspect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// byInspection is who acts when a look feeds the books, and verifiedByAPI stands in the place of a secret's fingerprint: the
// provider itself told, over its API. The books know deliveries from what was fetched by it.
const (
	byInspection  = "system:inspect"
	verifiedByAPI = "api"
)

// undelivered asks for the events that the provider could not deliver. Those that are not in our books go the way of a
// delivery, so the look is the repair as well: an event that comes by itself after all is known by its identity.
//
// What came while we were being restarted is fetched and not told: the provider is well, the way to us is, and every deploy of
// a shop that sells would wake somebody. It stands in the audit. A server that stays away is told of by its watcher.
func undelivered(in *inspector, _ row) []subject {
	return able(in, func(name string, source provider.Lister) func(context.Context) (string, error) {
		u := &undeliveredLook{in: in, source: in.Sources[name], lister: source}
		return u.look
	}, ProviderUnreachable, DatabaseUnreachable)
}

type undeliveredLook struct {
	in     *inspector
	source provider.Source
	lister provider.Lister

	hint  sync.Once
	mu    sync.Mutex // one look at a time; the rest is what they remember
	after time.Time  // where the next look begins; zero before the first that came to its end
}

func (u *undeliveredLook) look(ctx context.Context) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	in, began := u.in, u.in.Now()
	since := u.after
	if since.IsZero() {
		since = began.Add(-pullBack)
	}
	since, err := in.withinBooks(ctx, since)
	if err != nil {
		return "", err
	}
	f := feeding{restarted: in.began}
	complete, inOrder, last := true, true, time.Time{}
	for body, listing := range u.lister.Undelivered(ctx, since) {
		var made time.Time
		if err = listing; err == nil {
			made, err = f.feed(ctx, in, u.source, body, deliveryGrace)
		}
		if err != nil {
			complete = false
			break
		}
		inOrder = inOrder && !made.Before(last)
		last = made
		if f.fetched >= pullMost {
			complete = false
			break
		}
	}
	switch {
	case complete:
		u.after = began.Add(-pullOverlap)
	case inOrder && last.After(since): // oldest first, as Stripe lists: the next look goes on from here
		u.after = last
	}
	if recorded := f.record(ctx, in, u.source.Name()); recorded != nil {
		in.Log.Warn("fetched events are not in the audit", "source", u.source.Name(), "err", recorded)
	}
	if f.fetched == 0 && err != nil {
		return "", in.unseen(err, &u.hint, u.source.Name(), "events")
	}
	return f.words("could not be delivered", complete, began), nil
}

// withinBooks is a time that is not before our books begin: what happened then, somebody else has seen to.
func (in *inspector) withinBooks(ctx context.Context, since time.Time) (time.Time, error) {
	in.books.Lock()
	defer in.books.Unlock()
	if in.begun.IsZero() {
		begun, err := in.Store.BooksBegan(ctx)
		if err != nil {
			return since, err
		}
		in.begun = begun
	}
	if in.begun.After(since) {
		return in.begun, nil
	}
	return since, nil
}

// deliveredElsewhere compares the newest events that the provider calls delivered with our books. One that is not there went
// to another address, an old host for example, or was lost here after it was acknowledged. It is a sample, one call: where
// deliveries go astray, the newest do. What is missing is kept, and goes the way of a delivery.
func deliveredElsewhere(in *inspector, _ row) []subject {
	return able(in, func(name string, source provider.DeliveredLister) func(context.Context) (string, error) {
		var hint sync.Once
		return func(ctx context.Context) (string, error) {
			now := in.Now()
			since, err := in.withinBooks(ctx, now.Add(-deliveredBack))
			if err != nil {
				return "", err
			}
			bodies, err := source.Delivered(ctx, since)
			if err != nil {
				return "", in.unseen(err, &hint, name, "events")
			}
			var f feeding
			for _, body := range bodies {
				if _, err = f.feed(ctx, in, in.Sources[name], body, deliveredGrace); err != nil {
					break
				}
			}
			if recorded := f.record(ctx, in, name); recorded != nil {
				in.Log.Warn("fetched events are not in the audit", "source", name, "err", recorded)
			}
			if f.fetched == 0 && err != nil {
				return "", err
			}
			return f.words("the provider calls delivered and we had not", true, now), nil
		}
	}, ProviderUnreachable, DatabaseUnreachable, "webhook-endpoint")
}

// feeding is what one look has put into the books.
type feeding struct {
	restarted time.Time // what was made just before is not told; zero tells of all

	fetched int
	excused int // of them, those that are not told
	known   int
	oldest  time.Time // of those that are told
}

// feed keeps an event that is not in the books and older than grace, and returns when it was made. A younger one may be on
// its way.
func (f *feeding) feed(ctx context.Context, in *inspector, source provider.Source, body []byte, grace time.Duration) (made time.Time, err error) {
	event, now := source.Identify(body), in.Now()
	made = event.CreatedAt
	if !made.IsZero() && now.Sub(made) < grace {
		return made, nil
	}
	_, err = in.Store.OutcomeOf(ctx, event)
	if err == nil {
		f.known++
		return made, nil
	}
	if !errors.Is(err, makegood.NotFound) {
		return made, err
	}
	event.ReceivedAt, event.VerifiedBy = now, verifiedByAPI
	isNew, err := in.Store.AcceptEvent(ctx, event)
	if err != nil || !isNew { // somebody else was faster
		return made, err
	}
	f.fetched++
	if !f.restarted.IsZero() && made.Before(f.restarted) && !made.Before(f.restarted.Add(-restartMost)) {
		f.excused++
		return made, nil
	}
	if !made.IsZero() && (f.oldest.IsZero() || made.Before(f.oldest)) {
		f.oldest = made
	}
	return made, nil
}

// record leaves in the audit that the books were fed, also when the look has run out of time.
func (f *feeding) record(ctx context.Context, in *inspector, source string) error {
	if f.fetched == 0 {
		return nil
	}
	in.Log.Warn("events were fetched that the provider could not deliver here", "source", source, "new", f.fetched)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	return in.Store.Record(ctx, byInspection, makegood.Entry{Action: "events.pulled", Target: source,
		After: fmt.Sprintf("%d new, %d known", f.fetched, f.known)})
}

func (f *feeding) words(what string, complete bool, now time.Time) string {
	told := f.fetched - f.excused
	if told == 0 {
		return ""
	}
	words := fmt.Sprintf("%s that %s; fetched", count(told, "event"), what)
	if !f.oldest.IsZero() {
		words += ", the oldest " + age(now.Sub(f.oldest)) + " after it was made"
	}
	if !complete {
		words += "; there are more, which the next look takes"
	}
	return words
}
