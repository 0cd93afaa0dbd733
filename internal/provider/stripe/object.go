package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// object is any object of Stripe's as some version of the API tells it. Like session's, its methods give the empty value
// for what is not there or cannot be read.
type object struct{ json gjson.Result }

func (o object) id() string              { return extract.Identifier(o.json.Get("id")) }
func (o object) word(path string) string { return extract.Identifier(o.json.Get(path)) }

// tells reports whether a field is there at all, even as null.
func (o object) tells(path string) bool { return o.json.Get(path).Exists() }

// isList reports whether a list is there with everything that belongs to it.
func (o object) isList(path string) bool {
	list := o.json.Get(path)
	return list.Get("data").IsArray() && list.Get("has_more").Type != gjson.True
}

// ref returns the id in the first of the fields that names something, expanded or not.
func (o object) ref(paths ...string) string {
	for _, path := range paths {
		if id := extract.ID(o.json.Get(path)); id != "" {
			return id
		}
	}
	return ""
}

// money reads an amount in the object's own currency.
func (o object) money(path string) (makegood.Money, bool) {
	minor, isWhole := extract.Whole(o.json.Get(path))
	currency, isCurrency := extract.Currency(o.json.Get("currency"))
	if !isWhole || !isCurrency {
		return makegood.Money{}, false
	}
	return makegood.Money{Minor: minor, Currency: currency}, true
}

// notOurObject says why an object must not be acted on, or "". Objects that do not tell their mode (refunds) are of that
// of the event or of the key.
func (s *Stripe) notOurObject(o object) string {
	if o.id() == "" {
		return noteNameless
	}
	if told := o.json.Get("livemode"); told.IsBool() && told.Bool() != s.live {
		return fmt.Sprintf("The object is not in %s mode, and the source %q is.", modeName(s.live), s.name)
	}
	return ""
}

// fetch asks for one object. An answer about another object is an error.
func (s *Stripe) fetch(ctx context.Context, path, id string, expand ...string) (object, error) {
	c := call{method: http.MethodGet, path: path + "/" + url.PathEscape(id)}
	if len(expand) > 0 {
		c.query = url.Values{"expand[]": expand}
	}
	answer, err := s.do(ctx, c)
	if err != nil {
		return object{}, err
	}
	if extract.Identifier(answer.Get("id")) != id {
		return object{}, makegood.Errorf(makegood.ProviderFailed, "Stripe answered with another object than was asked for.")
	}
	return object{json: answer}, nil
}

// fact makes a fact that has no session: refunds, disputes, invoices and subscriptions carry none.
func (s *Stripe) fact(event makegood.Event, kind makegood.FactKind, objectID string) makegood.Fact {
	return makegood.Fact{
		Key:  makegood.OrderKey{Source: s.name, Account: s.account, Live: s.live},
		Kind: kind, ObjectID: objectID, OccurredAt: event.CreatedAt, EventID: event.ID,
	}
}

// oneFact is a reading of one fact.
func oneFact(f makegood.Fact) provider.Reading { return provider.Reading{Facts: []makegood.Fact{f}} }

// noted is a reading of none.
func noted(format string, args ...any) provider.Reading {
	return provider.Reading{Note: fmt.Sprintf(format, args...)}
}

// references is the sorted set of the ids that are there, in the form in which facts are joined, so that learning a fact
// twice tells nothing new.
func references(ids ...string) []string {
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return nil
	}
	return ids
}
