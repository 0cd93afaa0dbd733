package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// addresses are one address or several.
type addresses []string

// UnmarshalJSON accepts a string or an array of strings.
func (a *addresses) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = make(addresses, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// sendRequest is the body of POST /emails. HTML and Text stay undecoded: only their presence matters here.
type sendRequest struct {
	From        string            `json:"from"`
	To          addresses         `json:"to"`
	Cc          addresses         `json:"cc"`
	Bcc         addresses         `json:"bcc"`
	ReplyTo     addresses         `json:"reply_to"`
	Subject     string            `json:"subject"`
	HTML        json.RawMessage   `json:"html"`
	Text        json.RawMessage   `json:"text"`
	Headers     map[string]string `json:"headers"`
	Tags        []tag             `json:"tags"`
	ScheduledAt string            `json:"scheduled_at"`
	Attachments json.RawMessage   `json:"attachments"`
}

type tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func isText(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) && !bytes.Equal(raw, []byte(`""`))
}

func (r *Resend) sendOne(c *resendCall) (any, *resendError) {
	m, refused := r.readMail(c, c.body)
	if refused != nil {
		return nil, refused
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(m)
	return map[string]string{"id": m.ID}, nil
}

// sendBatch is all or nothing, as Resend's strict mode is.
func (r *Resend) sendBatch(c *resendCall) (any, *resendError) {
	var bodies []json.RawMessage
	if err := json.Unmarshal(c.body, &bodies); err != nil {
		return nil, refusal("validation_error", "The request body must be an array of emails.")
	}
	if len(bodies) == 0 || len(bodies) > batchMax {
		return nil, refusal("validation_error", "A batch has 1 to 100 emails.")
	}
	var mails []*mail
	for _, body := range bodies {
		m, refused := r.readMail(c, body)
		if refused != nil {
			return nil, refused
		}
		mails = append(mails, m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := []map[string]string{}
	for _, m := range mails {
		r.keep(m)
		ids = append(ids, map[string]string{"id": m.ID})
	}
	return map[string]any{"data": ids}, nil
}

// readMail checks one mail; it has no id yet and is not kept. The lock is not held.
func (r *Resend) readMail(c *resendCall, body []byte) (*mail, *resendError) {
	var sent sendRequest
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, refusal("validation_error", "The request body is not a valid email: "+err.Error())
	}
	if refused := r.check(sent); refused != nil {
		return nil, refused
	}
	m := &mail{raw: body, Mail: Mail{
		IdempotencyKey: c.key, From: sent.From, To: sent.To, Cc: sent.Cc, Bcc: sent.Bcc,
		ReplyTo: sent.ReplyTo, Subject: sent.Subject, Headers: sent.Headers, Tags: map[string]string{}, ReceivedAt: c.now,
		LastEvent: "delivered",
	}}
	for _, t := range sent.Tags {
		m.Tags[t.Name] = t.Value
	}
	return m, nil
}

func (r *Resend) bounces(address string) bool {
	return r.faults.BounceAddresses[address] || r.faults.BounceAddresses[bareAddress(address)]
}

// check refuses what Resend refuses.
func (r *Resend) check(sent sendRequest) *resendError {
	switch {
	case sent.From == "":
		return refusal("missing_required_field", "Missing `from` field.")
	case len(sent.To) == 0:
		return refusal("missing_required_field", "Missing `to` field.")
	case sent.Subject == "":
		return refusal("missing_required_field", "Missing `subject` field.")
	case !isText(sent.HTML) && !isText(sent.Text):
		return refusal("missing_required_field", "Missing `html` or `text` field.")
	case !isEmail(bareAddress(sent.From)):
		return refusal("invalid_from_address", "")
	case len(sent.To) > recipientsMax:
		return refusal("validation_error", "The `to` field can have at most 50 addresses.")
	}
	for _, address := range slices.Concat(sent.To, sent.Cc, sent.Bcc, sent.ReplyTo) {
		if !isEmail(bareAddress(address)) {
			return refusal("validation_error", "Invalid `to` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format.")
		}
	}
	if refused := checkTags(sent.Tags); refused != nil {
		return refused
	}
	return r.checkDomain(sent.From)
}

func checkTags(tags []tag) *resendError {
	isOdd := func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	for _, t := range tags {
		if t.Name == "" || len(t.Name) > tagMax || len(t.Value) > tagMax || strings.ContainsFunc(t.Name+t.Value, isOdd) {
			return refusal("validation_error", "Tags should only contain ASCII letters, numbers, underscores, or dashes.")
		}
	}
	return nil
}

func (r *Resend) checkDomain(from string) *resendError {
	_, domain, _ := strings.Cut(bareAddress(from), "@")
	if len(r.options.Domains) == 0 || slices.Contains(r.options.Domains, domain) {
		return nil
	}
	refused := refusal("validation_error", "The "+domain+" domain is not verified. Please, add and verify your domain on https://resend.com/domains")
	refused.StatusCode = 403
	return refused
}

// mailObject is Resend's email.
type mailObject struct {
	Object      string   `json:"object,omitempty"`
	ID          string   `json:"id"`
	To          []string `json:"to"`
	From        string   `json:"from"`
	CreatedAt   string   `json:"created_at"`
	Subject     string   `json:"subject"`
	HTML        *string  `json:"html,omitempty"`
	Text        *string  `json:"text,omitempty"`
	Bcc         []string `json:"bcc"`
	Cc          []string `json:"cc"`
	ReplyTo     []string `json:"reply_to"`
	LastEvent   string   `json:"last_event"`
	ScheduledAt *string  `json:"scheduled_at"`
	Tags        []tag    `json:"tags,omitempty"`
}

func (m *mail) show() mailObject {
	return mailObject{
		ID: m.ID, To: m.To, From: m.From, CreatedAt: m.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000000+00:00"), Subject: m.Subject,
		Bcc: m.Bcc, Cc: m.Cc, ReplyTo: m.ReplyTo, LastEvent: m.LastEvent,
	}
}

func (r *Resend) retrieve(c *resendCall) (any, *resendError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.mails.get(c.r.PathValue("id"))
	if !ok {
		return nil, refusal("not_found", "Email not found")
	}
	whole, object := m.copy(), m.show()
	object.Object, object.HTML, object.Text = "email", orNull(whole.HTML), orNull(whole.Text)
	for name, value := range m.Tags {
		object.Tags = append(object.Tags, tag{name, value})
	}
	slices.SortFunc(object.Tags, func(a, b tag) int { return strings.Compare(a.Name, b.Name) })
	return object, nil
}

// list pages newest first: limit (1 to 100, 20 by default), after and before.
func (r *Resend) list(c *resendCall) (any, *resendError) {
	query := c.r.URL.Query()
	paging := cursor{limit: 20, startingAfter: query.Get("after"), endingBefore: query.Get("before")}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageSizeMax {
			return nil, refusal("validation_error", "The limit must be between 1 and 100.")
		}
		paging.limit = n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range []string{paging.startingAfter, paging.endingBefore} {
		if id != "" && !r.mails.has(id) {
			return nil, refusal("validation_error", fmt.Sprintf("There is no email %q.", id))
		}
	}
	found, hasMore := r.mails.page(paging, func(*mail) bool { return true })
	data := []mailObject{}
	for _, m := range found {
		data = append(data, m.show())
	}
	return map[string]any{"object": "list", "has_more": hasMore, "data": data}, nil
}

// domains lists the verified ones, which is also the cheapest way to learn whether a key is accepted.
func (r *Resend) domains(*resendCall) (any, *resendError) {
	type domain struct {
		Object string `json:"object"`
		ID     string `json:"id"`
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	list := struct {
		Object string   `json:"object"`
		Data   []domain `json:"data"`
	}{"list", []domain{}}
	for _, name := range r.options.Domains {
		list.Data = append(list.Data, domain{"domain", "domain-" + name, name, "verified"})
	}
	return list, nil
}
