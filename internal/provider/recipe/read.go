package recipe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// Interpret turns a kept event into facts, by the rules of the row. The status of the object decides what happened, and
// not the name of the event.
//
//   - Where a delivery is only a hint, nothing of it is believed but the id to ask for: every value is the API's answer.
//   - Facts name their order by its session, or by the payment and other references where the body does not know it.
//   - What says something of money and cannot be given to one order is a *makegood.Permanent error, so that it becomes a
//     dead letter for a person and is not lost: a payment without an order, items of several orders in one delivery.
//   - Everything else gives no facts and a note: other types, other modes, statuses that change nothing, bodies that
//     cannot be read.
func (r *Recipe) Interpret(ctx context.Context, event makegood.Event) (provider.Reading, error) {
	if event.Source != r.name {
		return note("It came through the source %q and not through %q.", event.Source, r.name)
	}
	doc, ok := r.document(event.Payload)
	if !ok {
		return note("The body cannot be read; it is kept as it came.")
	}
	if event.Live != r.live || r.isLive(doc) != r.live {
		return r.otherMode()
	}
	if c := r.row.reading.confirm; c != nil && (c.isNeeded(doc) || !r.apiKey.Empty()) {
		return r.confirm(ctx, event, c, doc)
	}
	return r.read(ctx, event, doc)
}

func note(format string, args ...any) (provider.Reading, error) {
	return provider.Reading{Note: fmt.Sprintf(format, args...)}, nil
}

func (r *Recipe) otherMode() (provider.Reading, error) {
	is, other := "live", "test"
	if !r.live {
		is, other = other, is
	}
	return note("It is in %s mode, and the source %q is in %s mode.", other, r.name, is)
}

// confirm asks for the object of the event and reads the answer in place of the event.
func (r *Recipe) confirm(ctx context.Context, event makegood.Event, c *lookup, doc gjson.Result) (provider.Reading, error) {
	id := c.idIn(place{top: doc, object: doc})
	if id == "" && strings.HasSuffix(event.Type, ".paid") {
		return provider.Reading{}, &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed,
			"%s says %q and names no payment that can be asked for; a person must look.", r.row.info.Title, event.Type)}
	}
	if id == "" {
		return note("It names nothing that can be asked for; it is kept and shown.")
	}
	answer, err := r.ask(ctx, c, id)
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	return r.readAnswer(ctx, event, answer)
}

// readAnswer reads what the API says, which has a mode of its own.
func (r *Recipe) readAnswer(ctx context.Context, event makegood.Event, answer gjson.Result) (provider.Reading, error) {
	if r.isLive(answer) != r.live {
		return r.otherMode()
	}
	return r.read(ctx, event, answer)
}

// read makes the facts of a document.
func (r *Recipe) read(ctx context.Context, event makegood.Event, doc gjson.Result) (provider.Reading, error) {
	for _, s := range r.row.reading.skips {
		if slices.Contains(s.values, word(doc.Get(s.path))) {
			return note("%s", s.note)
		}
	}
	var facts []makegood.Fact
	status, isRead := "", false
	for _, rule := range r.row.reading.rules {
		if !rule.matches(event.Type) {
			continue
		}
		p, ok := rule.rooted(doc, gjson.Result{})
		if !ok {
			continue
		}
		isRead = true
		for _, element := range rule.elements(p) {
			kind := rule.kindOf(element)
			if kind == "" {
				status = rule.statusOf(element)
				continue
			}
			fact, err := r.fact(ctx, event, rule, element, kind)
			if err != nil {
				return provider.Reading{}, err
			}
			if fact.Kind != "" {
				facts = append(facts, fact)
			}
		}
	}
	if err := areOfOneOrder(facts); err != nil {
		return provider.Reading{}, err
	}
	switch {
	case len(facts) > 0:
		return provider.Reading{Facts: facts}, nil
	case isRead && status != "":
		return note("The status %s changes nothing of an order; it is kept and shown.", status)
	case isRead:
		return note("Nothing in it changes an order; it is kept and shown.")
	}
	return note("%s is kept and shown; nothing is known of it that changes an order.", nameOf(event))
}

func nameOf(event makegood.Event) string {
	if event.Type == "" {
		return "The event"
	}
	return event.Type
}

// fact makes one fact. A refund of nothing is none: then it has no kind.
func (r *Recipe) fact(ctx context.Context, event makegood.Event, rule rule, p place, kind makegood.FactKind) (makegood.Fact, error) {
	if rule.lookup != nil && kind == makegood.FactPaid && !r.apiKey.Empty() {
		if id := rule.lookup.idIn(p); id != "" {
			answer, err := r.ask(ctx, rule.lookup, id)
			if err != nil {
				return makegood.Fact{}, unlessOdd(err)
			}
			p.answer = answer
		}
	}
	amount, hasAmount := rule.amountOf(p)
	if kind == makegood.FactRefunded && hasAmount && amount.Minor == 0 {
		return makegood.Fact{}, nil
	}
	f := makegood.Fact{
		Key:       makegood.OrderKey{Source: r.name, Live: r.live, SessionID: p.first(extract.IdentifierOrNumber, rule.session)},
		Kind:      kind,
		ObjectID:  p.first(extract.IdentifierOrNumber, rule.id),
		PaymentID: p.first(extract.IdentifierOrNumber, rule.payment),
		Amount:    amount,
		Customer:  makegood.Customer{Email: p.first(extract.Address, rule.email), Name: nameIn(p, rule.name)},
		EventID:   event.ID,
	}
	if f.OccurredAt = r.createdAt(p); f.OccurredAt.IsZero() {
		f.OccurredAt = event.CreatedAt
	}
	for _, path := range rule.refs {
		if ref := extract.IdentifierOrNumber(p.get(path)); ref != "" {
			f.References = append(f.References, ref)
		}
	}
	if f.ObjectID == "" {
		f.ObjectID = f.Key.SessionID
	}
	if kind == makegood.FactPaid {
		f.Lines = r.linesOf(rule, p, amount)
	}
	return f, r.isUsable(f, hasAmount)
}

// isUsable refuses a fact that could not be given to an order or would be counted wrong, as a dead letter.
func (r *Recipe) isUsable(f makegood.Fact, hasAmount bool) error {
	refuse := func(what string) error {
		return &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "%s says %q and %s; a person must look.",
			r.row.info.Title, f.Kind, what)}
	}
	switch {
	case f.Key.SessionID == "" && (f.Kind == makegood.FactPaid || len(f.Ways()) == 0):
		return refuse("does not say of which order")
	case f.ObjectID == "":
		return refuse("does not say of what")
	case f.Kind == makegood.FactRefunded && !hasAmount:
		return refuse("not how much")
	}
	return nil
}

// nameIn joins first and last name.
func nameIn(p place, paths []string) string {
	joined := ""
	for _, path := range paths {
		if part := extract.Text(p.get(path)); part != "" && joined != "" {
			joined += " " + part
		} else if part != "" {
			joined = part
		}
	}
	return extract.Text(text(joined))
}

// areOfOneOrder refuses what a provider put together and we cannot: a reading is of one order, and to take the first of
// several would lose the others.
func areOfOneOrder(facts []makegood.Fact) error {
	if len(facts) > factsMax {
		return &makegood.Permanent{Err: makegood.Errorf(makegood.TooLarge, "One delivery tells of more than %d changes; a person must look.", factsMax)}
	}
	for _, f := range facts {
		if f.Key != facts[0].Key || f.Key.SessionID == "" && !slices.Equal(f.Ways(), facts[0].Ways()) {
			return &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed,
				"One delivery tells of several orders; a person must look, or let the provider deliver them one by one.")}
		}
	}
	return nil
}
