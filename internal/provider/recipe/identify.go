package recipe

import (
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// Identify reads id, type, mode, object and time of a proved body, and keeps the body itself without copying it. It never
// fails and sets nothing else of the event.
//
//   - An event is known by the id that its body has. Several providers give one in a header only; then the hash of the
//     body is the id, because a repetition has the same body.
//   - A hint, which says only that something changed, gets a new id each time that it comes: the id of its object and
//     the time. Two hints with the same body are not the same news.
//   - A body that does not tell its mode is of the source's mode, because the secret tells: each mode has its own. Where
//     every genuine body tells, one that does not is taken as test mode, so that it never touches live data (I7).
func (r *Recipe) Identify(body []byte) makegood.Event {
	e := makegood.Event{Source: r.name, Payload: body}
	doc, ok := r.document(body)
	p := place{top: doc, object: doc}
	e.Live = r.isLive(doc)
	e.Type = r.kindOf(p)
	e.ObjectID = p.first(extract.IdentifierOrNumber, r.row.reading.object)
	e.CreatedAt = r.createdAt(p)
	switch {
	case !ok:
	case r.row.reading.isHint && e.ObjectID != "":
		e.ProviderID = e.ObjectID + "@" + strconv.FormatInt(r.now().UnixMicro(), 10)
	case r.row.reading.identify != nil:
		e.ProviderID = r.row.reading.identify(doc)
	default:
		e.ProviderID = p.first(extract.IdentifierOrNumber, r.row.reading.eventID)
	}
	if e.ProviderID == "" {
		e.ProviderID = extract.Hashed(body)
	}
	return e
}

// document reads a body in the row's format. What cannot be read is an empty document.
func (r *Recipe) document(body []byte) (gjson.Result, bool) {
	if r.row.reading.isForm {
		return extract.Form(body)
	}
	return extract.Object(body)
}

// kindOf is the type of an event: what it says, or the first shape that it has.
func (r *Recipe) kindOf(p place) string {
	if kind := p.first(extract.Identifier, r.row.reading.kind); kind != "" {
		return kind
	}
	i := slices.IndexFunc(r.row.reading.shapes, func(s shape) bool {
		return !slices.ContainsFunc(s.has, func(path string) bool { return !p.get(path).Exists() })
	})
	if i < 0 {
		return ""
	}
	return r.row.reading.shapes[i].kind
}

// isLive reads the mode of a document.
func (r *Recipe) isLive(doc gjson.Result) bool {
	m := r.row.reading.mode
	for _, path := range m.paths {
		switch told := word(doc.Get(path)); {
		case told == "":
		case len(m.live) > 0:
			return slices.Contains(m.live, told)
		default:
			return told != m.test
		}
	}
	return r.live && !m.always
}

func (r *Recipe) createdAt(p place) (at time.Time) {
	for _, path := range r.row.reading.created {
		if at = extract.Moment(p.get(path)); !at.IsZero() {
			return at
		}
	}
	return at
}
