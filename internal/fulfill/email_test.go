package fulfill_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/mail"
)

var update = flag.Bool("update", false, "write what the tests got into testdata")

// postman is a mail service that accepts, or ends as it is told.
type postman struct {
	sent []mail.Message
	err  error
}

func (p *postman) RemembersFor() time.Duration { return 7 * time.Hour }
func (p *postman) Check(context.Context) error { return nil }

func (p *postman) Send(_ context.Context, m mail.Message) (mail.Receipt, error) {
	p.sent = append(p.sent, m)
	return mail.Receipt{Via: "postman", RemoteID: "remote-1"}, p.err
}

func newEmail(t *testing.T, sender mail.Sender) *fulfill.Email {
	t.Helper()
	e, err := fulfill.NewEmail(sender, catalogue, "Shop <shop@example.com>", "help@example.com", func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func twoLines() makegood.Order {
	return makegood.Order{
		ID: "ord00000000000000000001", Customer: makegood.Customer{Email: "ann@example.com", Name: "Ann Example"},
		Total: makegood.Money{Minor: 9700, Currency: "usd"},
		Lines: []makegood.Line{{Product: "az-900", Quantity: 2}, {Product: "az-104", Quantity: 1}},
		Licenses: []makegood.License{
			{Key: "GD-AAAA-AAAA-AAA2", Line: 0, Unit: 0, Product: "az-900", Status: makegood.LicenseActive},
			{Key: "GD-BBBB-BBBB-BBB2", Line: 0, Unit: 1, Product: "az-900", Status: makegood.LicenseActive},
			{Key: "GD-CCCC-CCCC-CCC2", Line: 1, Unit: 0, Product: "az-104", Status: makegood.LicenseActive},
		},
	}
}

// made renders a mail as it is sent.
func made(t *testing.T, o makegood.Order) mail.Message {
	t.Helper()
	b, err := newEmail(t, &postman{}).Make(o, makegood.EffectEmail)
	if err != nil {
		t.Fatalf("Make = %v", err)
	}
	m, err := mail.Decode(b)
	if err != nil {
		t.Fatalf("Decode of what Make made = %v", err)
	}
	return m
}

// The whole mail, as text files: change them with go test ./internal/fulfill -update, and look at the difference.
func TestEmailGolden(t *testing.T) {
	t.Parallel()
	one := twoLines()
	one.Lines, one.Licenses, one.Customer.Name = one.Lines[:1], one.Licenses[:1], ""
	one.Lines[0].Quantity = 1
	for name, o := range map[string]makegood.Order{"two_lines": twoLines(), "one_key": one} {
		m := made(t, o)
		m.Text, m.HTML = "", ""
		head, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		m = made(t, o)
		for file, got := range map[string]string{name + ".json": string(head) + "\n", name + ".txt": m.Text, name + ".html": m.HTML} {
			golden := filepath.Join("testdata", file)
			if *update {
				if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(got), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		}
	}
}

func TestEmailKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		change      func(*makegood.Order)
		wantKeys    []string
		wantSubject string
	}{
		{"several units and lines", func(*makegood.Order) {}, []string{"GD-AAAA-AAAA-AAA2", "GD-BBBB-BBBB-BBB2", "GD-CCCC-CCCC-CCC2"}, "Your licences"},
		{"one line", func(o *makegood.Order) { o.Lines, o.Licenses = o.Lines[:1], o.Licenses[:2] },
			[]string{"GD-AAAA-AAAA-AAA2", "GD-BBBB-BBBB-BBB2"}, "Your licences for AZ-900 practice exam"},
		{"one revoked", func(o *makegood.Order) {
			o.Lines, o.Licenses = o.Lines[:1], o.Licenses[:2]
			o.Licenses[1].Status = makegood.LicenseRevoked
		}, []string{"GD-AAAA-AAAA-AAA2"}, "Your licence for AZ-900 practice exam"},
		{"one suspended, which comes back by itself", func(o *makegood.Order) { o.Licenses[0].Status = makegood.LicenseSuspended },
			[]string{"GD-AAAA-AAAA-AAA2", "GD-BBBB-BBBB-BBB2", "GD-CCCC-CCCC-CCC2"}, "Your licences"},
		{"no longer in the catalogue", func(o *makegood.Order) {
			o.Lines, o.Licenses = []makegood.Line{{Product: "az-305", Quantity: 1}}, o.Licenses[:1]
		}, []string{"GD-AAAA-AAAA-AAA2"}, "Your licence for az-305"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := twoLines()
			tt.change(&o)
			m := made(t, o)
			if m.Subject != tt.wantSubject {
				t.Errorf("subject = %q, want %q", m.Subject, tt.wantSubject)
			}
			for part, body := range map[string]string{"text": m.Text, "page": m.HTML} {
				for _, l := range twoLines().Licenses {
					if got, want := strings.Count(body, l.Key), strings.Count(strings.Join(tt.wantKeys, " "), l.Key); got != want {
						t.Errorf("%s has %s %d times, want %d", part, l.Key, got, want)
					}
				}
			}
		})
	}
}

// Whoever types a name into a checkout must not be able to write a part of our mail.
func TestEmailHostileName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</p><a href="https://evil.example">click</a>`, `&lt;b&gt;`,
	} {
		o := twoLines()
		o.Customer.Name = name
		m := made(t, o)
		if strings.Contains(m.HTML, name) || !strings.Contains(html.UnescapeString(m.HTML), name) {
			t.Errorf("page for the name %q does not show it escaped:\n%s", name, m.HTML)
		}
		for _, tag := range []string{"<script", "<img", "<a "} {
			if strings.Contains(m.HTML, tag) {
				t.Errorf("page for the name %q has %s", name, tag)
			}
		}
		if !strings.Contains(m.Text, name) || strings.Contains(m.Subject, name) {
			t.Errorf("text for the name %q = %q, want it as it is, and only there", name, m.Text)
		}
	}
	if m := made(t, twoLines()); strings.Contains(m.HTML, "<practice>") {
		t.Error("the page has the name of a product as it is")
	}
	o := twoLines()
	o.Customer.Name = "{{.OrderID}}"
	if m := made(t, o); !strings.Contains(m.HTML, "Hello {{.OrderID}},") || !strings.Contains(m.Text, "Hello {{.OrderID}},") {
		t.Error("a name was taken for a template")
	}
}

// What cannot be sent is found out before it is kept.
func TestEmailUnsendable(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "nobody", "ann@example.com\r\nBcc: eve@example.com", "ann@example.com, eve@example.com"} {
		o := twoLines()
		o.Customer.Email = address
		_, err := newEmail(t, &postman{}).Make(o, makegood.EffectEmail)
		var permanent *makegood.Permanent
		if !errors.As(err, &permanent) || address != "" && strings.Contains(err.Error(), address) {
			t.Errorf("Make to %q = %v, want permanent, without the address", address, err)
		}
	}
}

func TestNewEmailSender(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"", "shop", "shop@", "Shop <shop@example.com>, other@example.com"} {
		if _, err := fulfill.NewEmail(&postman{}, catalogue, from, "", time.Now); err == nil {
			t.Errorf("NewEmail from %q = nil error, want it refused", from)
		}
	}
}

// Bring tells apart what certainly had no effect from what may have had one, and leaves the verdict of the sender as it is.
func TestEmailBring(t *testing.T) {
	t.Parallel()
	permanent := &makegood.Permanent{Err: errors.New("address refused")}
	snooze := &makegood.Snooze{For: time.Minute, Err: errors.New("too fast")}
	for _, tt := range []struct {
		name         string
		err          error
		wantNoEffect bool
	}{
		{"accepted", nil, false},
		{"refused", permanent, true},
		{"too fast", snooze, true},
		{"wrong key", mail.ErrConfiguration, true},
		{"no connection", errors.New("connection refused"), true},
		{"answer lost", fmt.Errorf("%w: timed out", mail.ErrUncertain), false},
		{"busy with the same mail", &makegood.Snooze{For: time.Second, Err: mail.ErrUncertain}, false},
		{"sent before with other words", &makegood.Permanent{Err: mail.ErrPayloadChanged}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &postman{err: tt.err}
			e := newEmail(t, p)
			message, err := e.Make(twoLines(), makegood.EffectEmail)
			if err != nil {
				t.Fatal(err)
			}
			receipt, err := e.Bring(t.Context(), message, 0)
			var none *fulfill.NoEffect
			if !errors.Is(err, tt.err) || errors.As(err, &none) != tt.wantNoEffect || (receipt == "remote-1") != (tt.err == nil) {
				t.Errorf("Bring = %q, %v, no effect: %v, want %v, %v", receipt, err, errors.As(err, &none), tt.err, tt.wantNoEffect)
			}
			if again, err := p.sent[0].Encode(); err != nil || !slices.Equal(again, message) {
				t.Errorf("sent other bytes than were made: %v", err)
			}
		})
	}
	var none *fulfill.NoEffect
	var gone *makegood.Permanent
	p := &postman{}
	if _, err := newEmail(t, p).Bring(t.Context(), []byte("{"), 0); !errors.As(err, &none) || !errors.As(err, &gone) || len(p.sent) != 0 {
		t.Errorf("Bring of bytes that are no mail = %v, want it refused for good, without effect", err)
	}
	if got := newEmail(t, p).RemembersFor(); got != 7*time.Hour {
		t.Errorf("RemembersFor = %v, want the sender's", got)
	}
}
