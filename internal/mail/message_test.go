package mail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
)

const customer = "ann.smith@customer.example"

func message() mail.Message {
	return mail.Message{
		From:           "Gadget Shop <shop@shop.example>",
		To:             "Ann <" + customer + ">",
		ReplyTo:        "help@shop.example",
		Subject:        "Your licence – grüße & <thanks>",
		Text:           "Hello Ann,\nyour key is GD-ABCD-EFGH-JKLM.\n.\n.hidden dot\nFrom us\n",
		HTML:           "<p>Hello <b>Ann</b> &amp; friends: <i>größe</i></p>\n",
		Date:           time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Tags:           map[string]string{"order": "ord_1", "kind": "licence", "a": "1", "z": "2"},
		IdempotencyKey: "licence/ord_1/0",
		Headers:        map[string]string{"X-B": "2", "X-A": "1", "List-Id": "<x.shop.example>"},
	}
}

func with(change func(*mail.Message)) mail.Message {
	m := message()
	change(&m)
	return m
}

func TestEncodeIsStable(t *testing.T) {
	t.Parallel()
	first, err := message().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // maps are walked in another order each time
		again, err := message().Encode()
		if err != nil || string(again) != string(first) {
			t.Fatalf("Encode = %s, %v, want %s", again, err, first)
		}
	}
	east := with(func(m *mail.Message) {
		m.Date = m.Date.Add(300 * time.Millisecond).In(time.FixedZone("east", 3600))
	})
	if got, err := east.Encode(); err != nil || string(got) != string(first) {
		t.Errorf("Encode of the same second elsewhere = %s, %v, want %s", got, err, first)
	}
	const want = `{"from":"Gadget Shop <shop@shop.example>","to":"Ann <ann.smith@customer.example>","reply_to":"help@shop.example",` +
		`"subject":"Your licence – grüße & <thanks>","text":"Hello Ann,\nyour key is GD-ABCD-EFGH-JKLM.\n.\n.hidden dot\nFrom us\n",` +
		`"html":"<p>Hello <b>Ann</b> &amp; friends: <i>größe</i></p>\n","date":"2026-03-01T12:00:00Z",` +
		`"tags":{"a":"1","kind":"licence","order":"ord_1","z":"2"},"idempotency_key":"licence/ord_1/0",` +
		`"headers":{"List-Id":"<x.shop.example>","X-A":"1","X-B":"2"}}`
	if got := string(first); got != want {
		t.Errorf("Encode = %s, want %s: messages stored earlier would change", got, want)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	b, err := message().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := mail.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(message(), got); diff != "" {
		t.Errorf("Decode of Encode (-want +got):\n%s", diff)
	}
	for name, broken := range map[string]string{
		"cut":           string(b[:len(b)-1]),
		"two":           string(b) + string(b),
		"unknown field": strings.Replace(string(b), `{`, `{"bcc":"bob@x.example",`, 1),
		"no recipient":  strings.Replace(string(b), `"to":"Ann <`+customer+`>"`, `"to":""`, 1),
		"nothing":       "",
	} {
		_, err := mail.Decode([]byte(broken))
		if !isPermanent(err) || strings.Contains(err.Error(), customer) {
			t.Errorf("Decode of %s = %v, want a permanent error without the address", name, err)
		}
	}
}

func isPermanent(err error) bool {
	var p *makegood.Permanent
	return errors.As(err, &p)
}

func snoozed(err error) time.Duration {
	var s *makegood.Snooze
	if errors.As(err, &s) {
		return s.For
	}
	return 0
}

// unsendable are messages that both senders and Encode must refuse, for good and without showing what is in them.
var unsendable = map[string]mail.Message{
	"no sender":                    with(func(m *mail.Message) { m.From = "" }),
	"sender no address":            with(func(m *mail.Message) { m.From = "shop" }),
	"no recipient":                 with(func(m *mail.Message) { m.To = "" }),
	"blank recipient":              with(func(m *mail.Message) { m.To = " " }),
	"recipient no address":         with(func(m *mail.Message) { m.To = "ann.smith" }),
	"two recipients":               with(func(m *mail.Message) { m.To = customer + ", bob@x.example" }),
	"line break in recipient":      with(func(m *mail.Message) { m.To = customer + "\r\nBcc: bob@x.example" }),
	"line feed in recipient name":  with(func(m *mail.Message) { m.To = "Ann\nBcc: bob@x.example <" + customer + ">" }),
	"encoded break in name":        with(func(m *mail.Message) { m.To = "=?utf-8?q?Ann=0D=0ABcc=3A_bob?= <" + customer + ">" }),
	"quoted break in recipient":    with(func(m *mail.Message) { m.To = "\"a\r\n b\"@x.example" }),
	"bracket in recipient":         with(func(m *mail.Message) { m.To = `"a> NOTIFY=NEVER <b"@x.example` }),
	"long recipient":               with(func(m *mail.Message) { m.To = strings.Repeat("a", 300) + "@x.example" }),
	"line break in reply address":  with(func(m *mail.Message) { m.ReplyTo = "a@x.example\r\nX: y" }),
	"line break in sender":         with(func(m *mail.Message) { m.From = "a@x.example\nX: y" }),
	"no subject":                   with(func(m *mail.Message) { m.Subject = "" }),
	"line feed in subject":         with(func(m *mail.Message) { m.Subject = "a\nBcc: " + customer }),
	"carriage return in subject":   with(func(m *mail.Message) { m.Subject = "a\rBcc: " + customer }),
	"line separator in subject":    with(func(m *mail.Message) { m.Subject = "a\u2028b" }),
	"NUL in subject":               with(func(m *mail.Message) { m.Subject = "a\x00b" }),
	"long subject":                 with(func(m *mail.Message) { m.Subject = strings.Repeat("a", 1000) }),
	"no body":                      with(func(m *mail.Message) { m.Text, m.HTML = "", "" }),
	"body no UTF-8":                with(func(m *mail.Message) { m.Text = "\xff" }),
	"huge body":                    with(func(m *mail.Message) { m.HTML = strings.Repeat("a", 1<<20+1) }),
	"no date":                      with(func(m *mail.Message) { m.Date = time.Time{} }),
	"no key":                       with(func(m *mail.Message) { m.IdempotencyKey = "" }),
	"long key":                     with(func(m *mail.Message) { m.IdempotencyKey = strings.Repeat("k", 257) }),
	"line break in key":            with(func(m *mail.Message) { m.IdempotencyKey = "a\r\nX: y" }),
	"message id without brackets":  with(func(m *mail.Message) { m.MessageID = "a@b" }),
	"line break in message id":     with(func(m *mail.Message) { m.MessageID = "<a@b>\r\nX: y" }),
	"line break in header value":   with(func(m *mail.Message) { m.Headers = map[string]string{"X-A": "a\r\nBcc: " + customer} }),
	"line break in header name":    with(func(m *mail.Message) { m.Headers = map[string]string{"X-A: b\r\nBcc": customer} }),
	"colon in header name":         with(func(m *mail.Message) { m.Headers = map[string]string{"X-A: b": "c"} }),
	"header that is a field":       with(func(m *mail.Message) { m.Headers = map[string]string{"bCC": customer} }),
	"content type as header":       with(func(m *mail.Message) { m.Headers = map[string]string{"Content-Type": "text/html"} }),
	"key of Resend as header":      with(func(m *mail.Message) { m.Headers = map[string]string{"Resend-Idempotency-Key": "x"} }),
	"line break in tag":            with(func(m *mail.Message) { m.Tags = map[string]string{"a": "b\r\nX: y"} }),
	"tag with an address":          with(func(m *mail.Message) { m.Tags = map[string]string{"to": customer} }),
	"more headers than are needed": with(func(m *mail.Message) { m.Headers = many(33) }),
	"more tags than are needed":    with(func(m *mail.Message) { m.Tags = many(33) }),
}

func many(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all["X-"+strings.Repeat("a", i+1)] = "x"
	}
	return all
}

func TestUnsendableIsRefused(t *testing.T) {
	t.Parallel()
	for name, m := range unsendable {
		_, err := m.Encode()
		if !isPermanent(err) || !errors.Is(err, makegood.Invalid) {
			t.Errorf("Encode with %s = %v, want a permanent, invalid error", name, err)
			continue
		}
		for _, private := range []string{customer, "smith", "bob", "\n", "\r"} {
			if strings.Contains(err.Error(), private) {
				t.Errorf("error with %s = %q, want no %q in it", name, err, private)
			}
		}
	}
}

func TestSendableIsAccepted(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]mail.Message{
		"whole":                 message(),
		"only text":             with(func(m *mail.Message) { m.HTML = "" }),
		"only HTML":             with(func(m *mail.Message) { m.Text = "" }),
		"bare address":          with(func(m *mail.Message) { m.To = customer }),
		"name in UTF-8":         with(func(m *mail.Message) { m.To = "Änn Smith <" + customer + ">" }),
		"quoted name":           with(func(m *mail.Message) { m.To = `"Smith, Ann" <` + customer + `>` }),
		"address of an accent":  with(func(m *mail.Message) { m.To = "änn@customer.example" }),
		"longest key":           with(func(m *mail.Message) { m.IdempotencyKey = strings.Repeat("k", 256) }),
		"message id of its own": with(func(m *mail.Message) { m.MessageID = "<ord_1.0@shop.example>" }),
		"nothing optional":      with(func(m *mail.Message) { m.ReplyTo, m.Tags, m.Headers = "", nil, nil }),
	} {
		if err := m.Validate(); err != nil {
			t.Errorf("Validate of %s = %v, want nil", name, err)
		}
	}
}
