package notify_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/outbound"
)

// failure is the *notify.Error of err.
func failure(t *testing.T, err error) *notify.Error {
	t.Helper()
	var e *notify.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a *notify.Error", err)
	}
	return e
}

// fakeSender fails as it is told.
type fakeSender struct {
	mail.Sender
	err error
}

func (f fakeSender) Send(context.Context, mail.Message) (mail.Receipt, error) {
	return mail.Receipt{RemoteID: "x"}, f.err
}
func (f fakeSender) Check(context.Context) error { return f.err }

// TestMailErrors: what mail says of a failure, in the words of channels.
func TestMailErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want notify.Reason
	}{
		{"accepted in other words", mail.ErrPayloadChanged, ""},
		{"settings", mail.ErrConfiguration, notify.ReasonAuth},
		{"settings, permanently", &makegood.Permanent{Err: mail.ErrConfiguration}, notify.ReasonAuth},
		{"quota", &makegood.Snooze{For: 1e9, Err: mail.ErrQuota}, notify.ReasonRateLimit},
		{"rests", &makegood.Snooze{For: 1e9, Err: outbound.ErrResting}, notify.ReasonResting},
		{"refused for good", &makegood.Permanent{Err: errors.New("550")}, notify.ReasonClient},
		{"no name", &net.DNSError{IsTimeout: true}, notify.ReasonNetwork},
		{"too late", context.DeadlineExceeded, notify.ReasonTimeout},
		{"network", &net.OpError{Err: errors.New("reset")}, notify.ReasonNetwork},
		{"refused for now", errors.New("smtp: RCPT: 451"), notify.ReasonServer},
		{"uncertain", fmt.Errorf("%w: 500", mail.ErrUncertain), notify.ReasonServer},
	} {
		c, err := notify.NewEmail(notify.EmailOptions{Sender: fakeSender{err: tt.err}, From: "a@b.example", To: []string{address}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Send(t.Context(), alarm("msg1"))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v, want it told", tt.name, err)
			}
			continue
		}
		if e := failure(t, err); e.Reason != tt.want || e.Doubt != errors.Is(tt.err, mail.ErrUncertain) {
			t.Errorf("%s: %s, doubt %v; want %s", tt.name, e.Reason, e.Doubt, tt.want)
		}
		if e := failure(t, c.Test(t.Context())); e.Reason != tt.want || e.Doubt {
			t.Errorf("%s: Test = %s, doubt %v; want %s without", tt.name, e.Reason, e.Doubt, tt.want)
		}
	}
}

// postOffice speaks as much SMTP as a mail needs, over a real connection.
type postOffice struct {
	port int
	// after is done when a message has ended, before the last word; its result is the last word, "" hangs up.
	after func() string

	mu    sync.Mutex
	mails []string
	to    []string
}

func startPostOffice(t *testing.T, after func() string) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{port: l.Addr().(*net.TCPAddr).Port, after: after}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); p.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return p
}

func (p *postOffice) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
	say("220 test ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line[:min(4, len(line))])); verb {
		case "RCPT":
			if strings.Contains(line, "gone@") {
				say("550 5.1.1 <gone@example.com> is not here")
				continue
			}
			p.mu.Lock()
			p.to = append(p.to, strings.Trim(line[8:], "<>\r\n"))
			p.mu.Unlock()
			say("250 ok")
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for line, err = r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				text.WriteString(line)
			}
			p.mu.Lock()
			p.mails = append(p.mails, text.String())
			p.mu.Unlock()
			word := "250 2.0.0 ok"
			if p.after != nil {
				word = p.after()
			}
			if word == "" {
				return
			}
			say(word)
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (p *postOffice) got() (mails, to []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.mails...), append([]string(nil), p.to...)
}

func (p *postOffice) channel(t *testing.T, skipped func(int, *notify.Error), to ...string) *notify.Email {
	t.Helper()
	sender, err := mail.NewSMTP(mail.SMTPOptions{Host: "127.0.0.1", Port: p.port, TLS: "none", HELO: "shop.example", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	c, err := notify.NewEmail(notify.EmailOptions{Sender: sender, From: "Shop <shop@example.com>", To: to, Skipped: skipped})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEmailOverSMTP(t *testing.T) {
	t.Parallel()
	p := startPostOffice(t, nil)
	c := p.channel(t, nil, address)
	if err := c.Test(t.Context()); err != nil {
		t.Fatalf("Test = %v", err)
	}
	m := alarm("msg1")
	m.Priority, m.Title = makegood.P0, "Checkout <down>\r\nBcc:\x00 everybody@example.com"
	m.Body += "\x00\xff"
	first, err := c.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), end("msg2", notify.Earlier{MessageID: "msg1", RemoteID: first.RemoteID})); err != nil {
		t.Fatal(err)
	}
	mails, to := p.got()
	if len(mails) != 2 || len(to) != 2 || to[0] != address {
		t.Fatalf("%d mails to %v, want two to the address", len(mails), to)
	}
	alarmed, ended := parse(t, mails[0]), parse(t, mails[1])
	if got, want := alarmed.Get("Subject"), "Checkout <down> Bcc: everybody@example.com"; got != want || alarmed.Get("Bcc") != "" {
		t.Errorf("Subject = %q, Bcc = %q, want %q on one line", got, alarmed.Get("Bcc"), want)
	}
	if got := ended.Get("In-Reply-To"); got == "" || got != alarmed.Get("Message-Id") || ended.Get("References") != got || got != first.RemoteID {
		t.Errorf("the end refers to %q, the alarm was %q with receipt %q", got, alarmed.Get("Message-Id"), first.RemoteID)
	}
	if alarmed.Get("Auto-Submitted") != "auto-generated" || alarmed.Get("Importance") != "high" || ended.Get("Importance") != "" {
		t.Errorf("headers = %v, %v", alarmed, ended)
	}
	for _, want := range []string{"the oldest waits for 7 minutes", "Acknowledge: https://shop.example/a/1", "&lt;down&gt;", `href=3D"https://shop.example/a/1"`} {
		if !strings.Contains(strings.ReplaceAll(mails[0], "=\r\n", ""), want) {
			t.Errorf("the mail has no %q: %s", want, mails[0])
		}
	}
}

func parse(t *testing.T, text string) netmail.Header {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

// TestEmailToSeveral: each address has a mail of its own, one that is gone does not hold up the others, and the same
// message again writes to nobody twice.
func TestEmailToSeveral(t *testing.T) {
	t.Parallel()
	p := startPostOffice(t, nil)
	var skipped []int
	c := p.channel(t, func(position int, why *notify.Error) {
		skipped = append(skipped, position)
		if strings.Contains(why.Error(), "gone@") {
			t.Errorf("error = %v, want no address in it", why)
		}
	}, address, "gone@example.com", "day@example.com")
	for range 2 {
		if _, err := c.Send(t.Context(), alarm("msg1")); err != nil {
			t.Fatal(err)
		}
	}
	mails, to := p.got()
	if len(mails) != 2 || len(skipped) != 2 || skipped[0] != 2 {
		t.Errorf("%d mails to %v, skipped %v; want two mails and the second address skipped", len(mails), to, skipped)
	}
}

// TestEmailCut: a connection that breaks after the message leaves a doubt, and the repetition has the same Message-ID.
func TestEmailCut(t *testing.T) {
	t.Parallel()
	words := []string{"", "451 4.3.0 later", "250 ok"}
	var mu sync.Mutex
	p := startPostOffice(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		word := words[0]
		words = words[1:]
		return word
	})
	c := p.channel(t, nil, address)
	_, err := c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); !e.Doubt || strings.Contains(e.Error(), address) {
		t.Errorf("Send over a connection that breaks = %v, doubt %v; want doubt and no address", e, e.Doubt)
	}
	_, err = c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Reason != notify.ReasonServer || e.Doubt {
		t.Errorf("Send refused for now = %v, doubt %v; want server without doubt", e, e.Doubt)
	}
	if _, err := c.Send(t.Context(), alarm("msg1")); err != nil {
		t.Fatal(err)
	}
	mails, _ := p.got()
	if len(mails) != 3 || parse(t, mails[0]).Get("Message-Id") != parse(t, mails[2]).Get("Message-Id") {
		t.Errorf("%d mails, want three with one Message-ID", len(mails))
	}
}

// TestEmailFromAnywhere: a domain in other letters than ASCII has a Message-ID all the same.
func TestEmailFromAnywhere(t *testing.T) {
	t.Parallel()
	var got mail.Message
	c, err := notify.NewEmail(notify.EmailOptions{Sender: keepingSender{&got}, From: "shop@köln.example", To: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, c, alarm("msg1"))
	if err := got.Validate(); err != nil || !strings.HasSuffix(got.MessageID, "@localhost>") {
		t.Errorf("Validate = %v with Message-ID %s", err, got.MessageID)
	}
}

// keepingSender keeps what it is given.
type keepingSender struct{ got *mail.Message }

func (k keepingSender) Send(_ context.Context, m mail.Message) (mail.Receipt, error) {
	*k.got = m
	return mail.Receipt{RemoteID: "x"}, nil
}
func (keepingSender) Check(context.Context) error     { return nil }
func (keepingSender) RemembersFor() (d time.Duration) { return 0 }
