package simulate

import (
	"encoding/json"
	"strings"
	"time"
)

// related is what an event is about, as a thin event names it.
type related struct {
	ID     string `json:"id"`
	Object string `json:"object"`
}

// thin is the event as a thin destination gets it: no state, only the id, type and address of the object.
func (e *event) thin(livemode bool) []byte {
	type relatedObject struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		URL  string `json:"url"`
	}
	body := struct {
		ID       string         `json:"id"`
		Object   string         `json:"object"`
		Context  any            `json:"context"`
		Created  string         `json:"created"`
		Livemode bool           `json:"livemode"`
		Related  *relatedObject `json:"related_object"`
		Type     string         `json:"type"`
	}{ID: e.id, Object: "v2.core.event", Created: e.created.UTC().Format(time.RFC3339Nano), Livemode: livemode, Type: "v1." + e.kind}
	if e.related.ID != "" {
		// Addresses are the names of the objects in the plural, with a dot as a slash: /v1/checkout/sessions.
		body.Related = &relatedObject{e.related.ID, e.related.Object, "/v1/" + strings.ReplaceAll(e.related.Object, ".", "/") + "s/" + e.related.ID}
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: our own types
	}
	return b
}
