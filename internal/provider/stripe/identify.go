package stripe

import (
	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// thinObject is what a thin event calls itself: it carries ids only, and the object is fetched from the API.
const thinObject = "v2.core.event"

// Identify reads source, account, mode, id, type, version, object and time of a proved body, and keeps the body itself
// without copying it. It never fails and sets nothing else of the event.
//
//   - A body that is no JSON object, or has no id of 1 to 255 printable ASCII bytes, is known by its hash instead: two
//     identical ones are one event, and none is lost.
//   - A body that does not say livemode is taken as test mode. Every event of Stripe says it; if one does not, what must
//     not happen is that it touches live data (I7). In a live source it gives no facts and is shown.
//   - Of a key that is there twice the first counts.
func (s *Stripe) Identify(body []byte) makegood.Event {
	e := makegood.Event{Source: s.name, Payload: body}
	top := readEnvelope(body)
	e.ProviderID, e.Type = extract.Identifier(top.id), extract.Identifier(top.kind)
	e.APIVersion = extract.Identifier(top.apiVersion)
	e.Account = accountOf(top)
	e.Live = top.livemode.Type == gjson.True
	e.CreatedAt = extract.Moment(top.created)
	if top.isThin() {
		e.ObjectID = extract.Identifier(top.related.Get("id"))
	} else {
		e.ObjectID = extract.Identifier(top.subject().Get("id"))
	}
	if e.ProviderID == "" {
		e.ProviderID, e.Type = extract.Hashed(body), ""
	}
	return e
}

// envelope is the top level of an event.
type envelope struct {
	id, object, kind, apiVersion, account, context, livemode, created, data, related gjson.Result
}

func (e envelope) isThin() bool { return e.object.Type == gjson.String && e.object.Str == thinObject }

// subject is what the event is about; of a thin event it does not exist.
func (e envelope) subject() gjson.Result { return e.data.Get("object") }

// readEnvelope walks the top level once. A body that cannot be read gives an empty envelope.
func readEnvelope(body []byte) envelope {
	var e envelope
	root, ok := extract.Object(body)
	if !ok {
		return e
	}
	root.ForEach(func(key, value gjson.Result) bool {
		if place := e.place(key.Str); place != nil && !place.Exists() {
			*place = value
		}
		return true
	})
	return e
}

// place is where a field of the top level belongs, or nil.
func (e *envelope) place(name string) *gjson.Result {
	switch name {
	case "id":
		return &e.id
	case "object":
		return &e.object
	case "type":
		return &e.kind
	case "api_version":
		return &e.apiVersion
	case "account":
		return &e.account
	case "context":
		return &e.context
	case "livemode":
		return &e.livemode
	case "created":
		return &e.created
	case "data":
		return &e.data
	case "related_object":
		return &e.related
	}
	return nil
}

// accountOf returns the connected account of an event. One that cannot be read becomes its hash and not "": it must not
// pass for the account that owns the source.
func accountOf(e envelope) string {
	said := e.account
	if e.isThin() {
		said = e.context
	}
	if !said.Exists() || said.Type == gjson.Null {
		return ""
	}
	if account := extract.Identifier(said); account != "" {
		return account
	}
	return extract.Hashed([]byte(said.Raw))
}
