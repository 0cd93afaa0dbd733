package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
)

// EmailOptions describe whom to write to.
type EmailOptions struct {
	Sender mail.Sender
	From   string   // "Shop <shop@example.com>" or the address alone
	To     []string // addresses
	// Skipped is told when an address is refused for good while others were reached: its position in To, from 1. It must
	// not block; nil is nobody.
	Skipped func(position int, why *Error)
}

// Email writes to each address a mail of its own. A repetition goes out under the same key, so that a service that
// remembers keys (Resend, for 24 hours) sends it once; over SMTP it has the same Message-ID, and may arrive twice. The word
// of the end refers to the mail of the beginning, so that both stand together.
type Email struct {
	recipients
	sender       mail.Sender
	from, domain string
}

// NewEmail makes the channel and connects to nothing.
func NewEmail(o EmailOptions) (*Email, error) {
	if o.Sender == nil {
		panic("notify: a channel of kind email without a sender")
	}
	from, err := netmail.ParseAddress(o.From)
	switch {
	case err != nil:
		return nil, refuse("email", "the sender is not an address")
	case len(o.To) == 0 || len(o.To) > recipientsMax:
		return nil, refuse("email", "it needs 1 to 20 addresses")
	}
	seen := map[string]bool{}
	for _, to := range o.To {
		address, err := netmail.ParseAddress(to)
		if err != nil {
			return nil, refuse("email", "one of those to write to is not an address")
		}
		if seen[strings.ToLower(address.Address)] {
			return nil, refuse("email", "an address is there twice")
		}
		seen[strings.ToLower(address.Address)] = true
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	if !isHeader(domain) {
		domain = "localhost" // a Message-ID has no other letters than ASCII
	}
	return &Email{recipients: recipients{all: slices.Clone(o.To), skipped: o.Skipped}, sender: o.Sender, from: o.From, domain: domain}, nil
}

// Send writes to every address that the message has not reached yet.
func (e *Email) Send(ctx context.Context, m Message) (Receipt, error) {
	return e.tell(ctx, m.ID, func(ctx context.Context, to string) (string, error) {
		r, err := e.sender.Send(ctx, e.message(m, to))
		if errors.Is(err, mail.ErrPayloadChanged) {
			return m.ID, nil // it has a mail of this message, in words of before
		}
		if err != nil {
			return "", mailError(ctx, err)
		}
		return r.RemoteID, nil
	})
}

// message follows from m and to alone: every attempt is the same mail.
func (e *Email) message(m Message, to string) mail.Message {
	m.Title, m.Body = cut(oneLine(m.Title), titleMax), mailText(m.Body)
	text := m.Body
	if m.AckLink != "" {
		text += "\n\nAcknowledge: " + m.AckLink
	}
	if m.Link != "" {
		text += "\n\nOpen: " + m.Link
	}
	out := mail.Message{From: e.from, To: to, Subject: m.Title, Text: strings.TrimSpace(m.Title + "\n\n" + text),
		HTML: mailHTML(m), Date: m.At.UTC().Truncate(time.Second), IdempotencyKey: "alert-" + recipientKey(m.ID, to), MessageID: e.messageID(m.ID, to),
		Headers: map[string]string{"Auto-Submitted": "auto-generated"}, // RFC 3834: no holiday replies, please
		Tags:    map[string]string{"makegood": "alert"}}
	if len(m.Earlier) > 0 {
		first := e.messageID(m.Earlier[0].MessageID, to)
		out.Headers["In-Reply-To"], out.Headers["References"] = first, first
	}
	if m.Priority == makegood.P0 && m.Kind != makegood.NoticeResolved {
		out.Headers["Importance"] = "high"
	}
	return out
}

func (e *Email) messageID(messageID, to string) string {
	return "<" + recipientKey(messageID, to) + "@" + e.domain + ">"
}

// recipientKey tells the mails of one message apart without showing the address.
func recipientKey(messageID, to string) string {
	sum := sha256.Sum256([]byte(messageID + "\x00" + strings.ToLower(to)))
	return "alert." + hex.EncodeToString(sum[:12])
}

// oneLine makes one line of s, without anything that is no letter.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// mailText takes out what no mail may have: what was seen of somebody's server may hold anything.
func mailText(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "") }

// mailHTML is title, body as it is, and two links.
func mailHTML(m Message) string {
	var b strings.Builder
	b.WriteString("<p><strong>" + html.EscapeString(m.Title) + "</strong></p>\n<pre style=\"white-space:pre-wrap;font:inherit\">" + html.EscapeString(m.Body) + "</pre>\n")
	if m.AckLink != "" {
		b.WriteString("<p><a href=\"" + html.EscapeString(m.AckLink) + "\">Acknowledge</a></p>\n")
	}
	if m.Link != "" {
		b.WriteString("<p><a href=\"" + html.EscapeString(m.Link) + "\">Open</a></p>\n")
	}
	return b.String()
}

// mailError judges what mail says of a failure.
func mailError(ctx context.Context, err error) *Error {
	e := &Error{Channel: "email", Reason: ReasonServer, Doubt: errors.Is(err, mail.ErrUncertain), Err: err}
	var (
		snooze    *makegood.Snooze
		permanent *makegood.Permanent
		network   net.Error
		name      *net.DNSError
		out       *outbound.Error
	)
	if errors.As(err, &snooze) {
		e.RetryAfter = min(snooze.For, retryAfterMax)
	}
	switch {
	case errors.Is(err, outbound.ErrResting):
		e.Reason, e.Doubt = ReasonResting, false
	case errors.Is(err, mail.ErrConfiguration):
		e.Reason = ReasonAuth
	case snooze != nil:
		e.Reason = ReasonRateLimit
	case errors.As(err, &permanent):
		e.Reason = ReasonClient
	case errors.As(err, &name):
		e.Reason = ReasonNetwork
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.Reason = ReasonTimeout
	case errors.As(err, &network), errors.As(err, &out):
		e.Reason = ReasonNetwork
	}
	return e
}

// Test asks the mail service whether sending would be allowed, and writes to nobody.
func (e *Email) Test(ctx context.Context) error {
	if err := e.sender.Check(ctx); err != nil {
		return undoubted(mailError(ctx, err))
	}
	return nil
}
