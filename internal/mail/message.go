package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/makegood/makegood"
)

// Message is one mail to one person. It is rendered once, stored with Encode, and sent as the same bytes on every
// attempt; so everything in it must follow from the order, and nothing from the clock or chance at the time of sending.
type Message struct {
	From    string `json:"from"` // "Shop <shop@example.com>" or the address alone
	To      string `json:"to"`   // exactly one address, with or without a name
	ReplyTo string `json:"reply_to,omitempty"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"` // Text or HTML or both
	HTML    string `json:"html,omitempty"`

	// Date is when the message was rendered, to the second; it is the Date header over SMTP.
	Date time.Time `json:"date"`

	// Tags come back in the provider's events: letters, digits, _ and -, for name and value.
	Tags map[string]string `json:"tags,omitempty"`

	// IdempotencyKey is what the provider knows a repetition by: 1 to 256 printable ASCII characters, always the same for
	// the same mail of the same order.
	IdempotencyKey string `json:"idempotency_key"`

	// MessageID is "<…@domain>". When it is empty, it is made of IdempotencyKey and the domain of From.
	MessageID string `json:"message_id,omitempty"`

	// Headers are further headers; those that a Message has fields for are refused.
	Headers map[string]string `json:"headers,omitempty"`
}

// Encode returns the canonical JSON of m: the same bytes for the same message, on every machine. What could not be sent
// is refused as by Validate, before it is stored.
func (m Message) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	m.Date = m.Date.UTC().Truncate(time.Second)
	b, err := marshal(m)
	if err != nil {
		return nil, permanent(makegood.Wrap(err, makegood.Internal, "The mail cannot be kept."))
	}
	return b, nil
}

// Decode reads what Encode wrote, and nothing else: an unknown field or anything after the message is refused, and so is
// what Validate refuses.
func Decode(b []byte) (Message, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var m Message
	if err := d.Decode(&m); err != nil {
		// The cause's text can quote the message.
		return Message{}, permanent(makegood.Errorf(makegood.Internal, "The stored mail cannot be read."))
	}
	if _, err := d.Token(); err != io.EOF {
		return Message{}, permanent(makegood.Errorf(makegood.Internal, "The stored mail has something after its end."))
	}
	return m, m.Validate()
}

// marshal is json.Marshal without the escapes for HTML; the order of fields and the sorting of maps make it canonical.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// reserved are the headers that only the fields of a Message may set, in lower case.
var reserved = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "reply-to": true, "sender": true, "subject": true, "date": true,
	"message-id": true, "return-path": true, "received": true, "mime-version": true, "content-type": true,
	"content-transfer-encoding": true, "content-disposition": true, "dkim-signature": true, tagHeader: true,
	resendKeyHeader: true,
}

var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	tagText     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	printable   = regexp.MustCompile(`^[!-~]+$`)
	messageIDOf = regexp.MustCompile(`^<[^<>@\s]+@[^<>@\s]+>$`)
)

// Validate reports why m could never be sent, as a *makegood.Permanent of kind makegood.Invalid, or nil. The sentence
// names the field and never what is in it. Line breaks in anything that becomes a header are refused, because with one
// whoever chose a name could write headers of their own.
func (m Message) Validate() error {
	for _, problem := range []string{
		m.addressProblem(), m.contentProblem(), m.keyProblem(), m.headerProblem(), m.tagProblem(),
	} {
		if problem != "" {
			return permanent(makegood.Errorf(makegood.Invalid, "The mail cannot be sent: %s.", problem))
		}
	}
	return nil
}

func (m Message) addressProblem() string {
	for _, field := range []struct {
		name, value string
		optional    bool
	}{{"sender", m.From, false}, {"recipient", m.To, false}, {"reply address", m.ReplyTo, true}} {
		if field.value == "" && field.optional {
			continue
		}
		if field.value == "" {
			return "it has no " + field.name
		}
		if _, err := parseAddress(field.value); err != nil {
			return "its " + field.name + " is not an address"
		}
	}
	return ""
}

var errNotAddress = errors.New("not an address")

// parseAddress returns no cause of the parser, because it quotes the address.
func parseAddress(s string) (*netmail.Address, error) {
	if !isLine(s) {
		return nil, errNotAddress
	}
	a, err := netmail.ParseAddress(s)
	if err != nil || len(a.Address) > addressBytesMax || !isLine(a.Name) || strings.ContainsAny(a.Address, "\r\n\x00<>") {
		return nil, errNotAddress
	}
	return a, nil
}

func (m Message) contentProblem() string {
	switch {
	case !isLine(m.Subject):
		return "its subject has a line break or is too long"
	case m.Subject == "":
		return "it has no subject"
	case m.Text == "" && m.HTML == "":
		return "it has no text"
	case len(m.Text) > bodyBytesMax || len(m.HTML) > bodyBytesMax:
		return "its text is too long"
	case !isText(m.Text) || !isText(m.HTML):
		return "its text is not UTF-8"
	case m.Date.IsZero() || m.Date.Year() < 1970 || m.Date.Year() > 9999:
		return "it has no date"
	}
	return ""
}

func (m Message) keyProblem() string {
	if len(m.IdempotencyKey) > keyBytesMax || !printable.MatchString(m.IdempotencyKey) {
		return "its idempotency key is not of 1 to 256 printable characters"
	}
	if m.MessageID != "" && (len(m.MessageID) > lineBytesMax || !messageIDOf.MatchString(m.MessageID) || !printable.MatchString(m.MessageID)) {
		return "its message id is not of the form <…@domain>"
	}
	return ""
}

func (m Message) headerProblem() string {
	if len(m.Headers) > headersMax {
		return "it has too many headers"
	}
	for name, value := range m.Headers {
		if !headerName.MatchString(name) || !isLine(value) {
			return "a header has a line break, a strange name or is too long"
		}
		if reserved[strings.ToLower(name)] {
			return "a header is one that is set by itself"
		}
	}
	return ""
}

func (m Message) tagProblem() string {
	if len(m.Tags) > tagsMax {
		return "it has too many tags"
	}
	for name, value := range m.Tags {
		if !tagText.MatchString(name) || !tagText.MatchString(value) {
			return "a tag has other characters than letters, digits, _ and -"
		}
	}
	return ""
}

// isLine reports whether s can be the value of one header.
func isLine(s string) bool {
	return len(s) <= lineBytesMax && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0x7F || r == 0x85 || r == 0x2028 || r == 0x2029
	})
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// messageID returns the Message-ID, which is the same for every attempt.
func (m Message) messageID() string {
	if m.MessageID != "" {
		return m.MessageID
	}
	domain := "localhost"
	if from, err := parseAddress(m.From); err == nil {
		if d := from.Address[strings.LastIndexByte(from.Address, '@')+1:]; printable.MatchString(d) {
			domain = d
		}
	}
	return "<" + m.digest("message-id") + "@" + domain + ">"
}

// digest returns 40 hexadecimal digits that follow from the idempotency key and a purpose.
func (m Message) digest(purpose string) string {
	sum := sha256.Sum256([]byte("makegood mail " + purpose + "\x00" + m.IdempotencyKey))
	return hex.EncodeToString(sum[:20])
}

// sortedTags calls do for each tag in the order of the names.
func (m Message) sortedTags(do func(name, value string)) {
	for _, name := range slices.Sorted(maps.Keys(m.Tags)) {
		do(name, m.Tags[name])
	}
}
