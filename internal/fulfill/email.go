package fulfill

import (
	"context"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	netmail "net/mail"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
)

//go:embed templates/*
var templates embed.FS

// Email is the mail with the licence keys.
type Email struct {
	sender    mail.Sender
	catalogue makegood.Catalogue
	from      string
	replyTo   string
	domain    string // of the sender's address, for Message-IDs
	now       func() time.Time
	text      *texttemplate.Template
	html      *htmltemplate.Template
}

// NewEmail wires the mail effect. from must be a valid address, with or without a name.
func NewEmail(sender mail.Sender, catalogue makegood.Catalogue, from, replyTo string, now func() time.Time) (*Email, error) {
	address, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("the sender's address cannot be read")
	}
	text, err := texttemplate.ParseFS(templates, "templates/license.txt")
	if err != nil {
		return nil, err
	}
	html, err := htmltemplate.ParseFS(templates, "templates/license.html")
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(address.Address, "@")
	return &Email{sender, catalogue, from, replyTo, domain, now, text, html}, nil
}

// Name is the step's name.
func (e *Email) Name() string { return makegood.EffectEmail }

// RemembersFor is how long the mail service recognises a repetition.
func (e *Email) RemembersFor() time.Duration { return e.sender.RemembersFor() }

// Make renders the mail of an order, with every key that is not revoked, and encodes it.
func (e *Email) Make(o makegood.Order, _ string) ([]byte, error) {
	letter := e.letter(o)
	var text, html strings.Builder
	if err := e.text.Execute(&text, letter); err != nil {
		return nil, &makegood.Permanent{Err: fmt.Errorf("render the text: %w", err)}
	}
	if err := e.html.Execute(&html, letter); err != nil {
		return nil, &makegood.Permanent{Err: fmt.Errorf("render the page: %w", err)}
	}
	return mail.Message{
		From: e.from, To: o.Customer.Email, ReplyTo: e.replyTo,
		Subject: letter.Subject,
		Text:    text.String(), HTML: html.String(),
		Date:           e.now(),
		Tags:           map[string]string{"order": o.ID, "kind": "license"},
		IdempotencyKey: "license-email/" + o.ID,
		MessageID:      "<license." + o.ID + "@" + e.domain + ">",
	}.Encode()
}

// letter is what the templates show.
type letter struct {
	Subject string
	Name    string // of the customer; may be ""
	OrderID string
	Total   string
	Items   []letterItem
}

type letterItem struct {
	Product string
	Keys    []string
}

func (e *Email) letter(o makegood.Order) letter {
	l := letter{Name: o.Customer.Name, OrderID: o.ID, Total: o.Total.String()}
	keys := 0
	for i, line := range o.Lines {
		item := letterItem{Product: e.catalogue[line.Product].Name}
		if item.Product == "" { // taken out of the catalogue since it was sold
			item.Product = line.Product
		}
		for _, license := range o.Licenses {
			if license.Line == i && license.Status != makegood.LicenseRevoked { // one that rests comes back by itself
				item.Keys = append(item.Keys, license.Key)
				keys++
			}
		}
		l.Items = append(l.Items, item)
	}
	l.Subject = "Your licence"
	if keys > 1 {
		l.Subject = "Your licences"
	}
	if len(l.Items) == 1 {
		l.Subject += " for " + l.Items[0].Product
	}
	return l
}

// Bring hands the mail to the mail service. Sending what was rendered is all it does, so a repetition sends the same bytes.
// A further round is the same mail under a key of its own.
func (e *Email) Bring(ctx context.Context, message []byte, round int) (string, error) {
	m, err := mail.Decode(message)
	if err != nil {
		return "", &NoEffect{err}
	}
	if round > 0 {
		m.IdempotencyKey = fmt.Sprintf("%s/%d", m.IdempotencyKey, round)
	}
	receipt, err := e.sender.Send(ctx, m)
	if errors.Is(err, mail.ErrUncertain) || errors.Is(err, mail.ErrPayloadChanged) {
		return "", err // this attempt, or an earlier one under the same key, may have reached the customer
	}
	if err != nil {
		return "", &NoEffect{err}
	}
	return receipt.RemoteID, nil
}

// Ready reports whether the mail service may be tried, if the sender knows.
func (e *Email) Ready() error {
	if w, ok := e.sender.(interface{ Ready() error }); ok {
		return w.Ready()
	}
	return nil
}

// Find asks the mail service whether it accepted the mail, if it can be asked.
func (e *Email) Find(ctx context.Context, message []byte, since time.Time) (string, bool, error) {
	finder, ok := e.sender.(mail.Finder)
	if !ok {
		return "", false, ErrCannotLook
	}
	m, err := mail.Decode(message)
	if err != nil {
		return "", false, err
	}
	receipt, found, err := finder.Find(ctx, m, since)
	if errors.Is(err, mail.ErrCannotLook) {
		err = fmt.Errorf("%w: %w", ErrCannotLook, err)
	}
	return receipt.RemoteID, found, err
}

var (
	_ Effect = (*Email)(nil)
	_ Finder = (*Email)(nil)
)
