package paypal

import (
	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// Identify reads id, type, time, version and object of a proved body, and keeps the body itself without copying it. It
// never fails and sets nothing else of the event.
//
//   - A body that is no JSON object, or has no id of 1 to 255 printable ASCII bytes, is known by its hash instead: two
//     identical ones are one event, and none is lost.
//   - PayPal's bodies do not tell their mode. The webhook id and the certificate did, and both are of this source's mode,
//     so every event of the source is.
//   - The version is that of the resource, which is what changes between the generations of the API; event_version is
//     always 1.0.
//   - Of a key that is there twice the first counts.
func (s *PayPal) Identify(body []byte) makegood.Event {
	e := makegood.Event{Source: s.name, Live: s.live, Payload: body}
	root, ok := extract.Object(body)
	if ok {
		e.ProviderID = extract.Identifier(root.Get("id"))
	}
	if e.ProviderID == "" {
		e.ProviderID = extract.Hashed(body)
		return e
	}
	e.Type = extract.Identifier(root.Get("event_type"))
	e.CreatedAt = extract.Moment(root.Get("create_time"))
	e.APIVersion = extract.Identifier(root.Get("resource_version"))
	e.ObjectID = objectOf(root.Get("resource"))
	return e
}

// objectOf is the id of a resource; a dispute's has a name of its own, and so has the order of a reversed approval.
func objectOf(resource gjson.Result) string {
	for _, key := range []string{"id", "dispute_id", "order_id"} {
		if id := extract.Identifier(resource.Get(key)); id != "" {
			return id
		}
	}
	return ""
}
