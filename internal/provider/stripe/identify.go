package stripe

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
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
	e.ProviderID, e.Type = identifier(top.id), identifier(top.kind)
	e.APIVersion = identifier(top.apiVersion)
	e.Account = accountOf(top)
	e.Live = top.livemode.Type == gjson.True
	e.CreatedAt = moment(top.created)
	if top.isThin() {
		e.ObjectID = identifier(top.related.Get("id"))
	} else {
		e.ObjectID = identifier(top.subject().Get("id"))
	}
	if e.ProviderID == "" {
		e.ProviderID, e.Type = hashed(body), ""
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
	root, ok := parseObject(body)
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

// parseObject reads a JSON object that is valid and not nested beyond reason.
func parseObject(body []byte) (gjson.Result, bool) {
	if isNestedBeyond(body, nestingMax) || !gjson.ValidBytes(body) {
		return gjson.Result{}, false
	}
	root := gjson.ParseBytes(body)
	return root, root.IsObject()
}

// isNestedBeyond counts brackets outside of strings, before anything recursive looks at them.
func isNestedBeyond(body []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
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
	if account := identifier(said); account != "" {
		return account
	}
	return hashed([]byte(said.Raw))
}

// identifier returns a string of 1 to 255 printable ASCII bytes, or "" for everything else. Whatever it returns can be
// stored, logged and put into a URL path after escaping.
func identifier(r gjson.Result) string {
	if r.Type != gjson.String || len(r.Str) > identifierBytesMax || !isPlain(r.Str) {
		return ""
	}
	return strings.Clone(r.Str) // so that an id does not keep a whole body in memory
}

// idOf returns the id of something that is given as its id or, when expanded, as an object.
func idOf(r gjson.Result) string {
	if r.IsObject() {
		r = r.Get("id")
	}
	return identifier(r)
}

// moment reads Unix seconds, and the RFC 3339 of thin events. What it cannot read is the zero time.
func moment(r gjson.Result) time.Time {
	if r.Type == gjson.String {
		t, err := time.Parse(time.RFC3339, r.Str)
		if err != nil || t.Year() < 1970 {
			return time.Time{}
		}
		return t.UTC().Truncate(time.Microsecond)
	}
	const year9999 = 253402300799
	seconds, ok := whole(r)
	if !ok || seconds > year9999 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:16])
}
