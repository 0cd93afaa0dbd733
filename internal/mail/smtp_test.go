package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/secret"
)

const (
	smtpUser     = "robot@shop.example"
	smtpPassword = "sw0rdfish-and-more"
)

// smtpServer is a mail server that answers as a test tells it. A reply of "hang up" closes the connection, "silence"
// answers nothing, and "chatter" never ends.
type smtpServer struct {
	host string
	port int
	cas  *x509.CertPool

	implicit   bool
	extensions []string          // of EHLO
	replies    map[string]string // by verb; "." is the end of the message, "" the greeting
	tls        *tls.Config

	mu       sync.Mutex
	data     []string // as it came over the wire, with dots stuffed
	commands []string
}

// startSMTP runs a server until the test ends. Change may alter it before the first connection.
func startSMTP(t *testing.T, change func(*smtpServer)) *smtpServer {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	t.Cleanup(certified.Close)
	s := &smtpServer{cas: x509.NewCertPool(), tls: &tls.Config{Certificates: certified.TLS.Certificates},
		extensions: []string{"8BITMIME", "STARTTLS", "AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES", "SMTPUTF8"}, replies: map[string]string{}}
	s.cas.AddCert(certified.Certificate())
	if change != nil {
		change(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

func (s *smtpServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if s.implicit {
		conn = tls.Server(conn, s.tls)
	}
	r := bufio.NewReader(conn)
	if !s.answer(conn, "", "220 test ESMTP") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		switch verb = strings.ToUpper(verb); verb {
		case "STARTTLS":
			if !s.answer(conn, verb, "220 go ahead") {
				return
			}
			conn = tls.Server(conn, s.tls)
			r = bufio.NewReader(conn)
		case "AUTH":
			if !s.authenticate(conn, r, line) {
				return
			}
		case "DATA":
			if !s.answer(conn, verb, "354 go on") || s.replies[verb] == "" && !s.message(conn, r) {
				return
			}
		case "EHLO":
			if !s.answer(conn, verb, "250-test\r\n250-"+strings.Join(s.extensions, "\r\n250-")+"\r\n250 SIZE 1000000") {
				return
			}
		default:
			if !s.answer(conn, verb, map[string]string{"QUIT": "221 bye"}[verb]) {
				return
			}
		}
	}
}

func (s *smtpServer) answer(conn net.Conn, verb, usual string) bool {
	reply := s.replies[verb]
	if reply == "" {
		reply = usual
	}
	if reply == "" {
		reply = "250 2.0.0 ok"
	}
	switch reply {
	case "hang up":
		return false
	case "silence":
		io.Copy(io.Discard, conn)
		return false
	case "chatter":
		for {
			if _, err := io.WriteString(conn, "250-"+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return false
			}
		}
	}
	_, err := io.WriteString(conn, reply+"\r\n")
	return err == nil && verb != "QUIT"
}

func (s *smtpServer) authenticate(conn net.Conn, r *bufio.Reader, line string) bool {
	fields := strings.Fields(line)
	said := ""
	switch {
	case fields[1] == "PLAIN":
		b, _ := base64.StdEncoding.DecodeString(fields[2])
		said = string(b)
	case fields[1] == "LOGIN":
		for _, prompt := range []string{"Username:", "Password:"} {
			fmt.Fprintf(conn, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(prompt)))
			answer, _ := r.ReadString('\n')
			b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(answer))
			said += "\x00" + string(b)
		}
	}
	if said != "\x00"+smtpUser+"\x00"+smtpPassword {
		return s.answer(conn, "AUTH", "535 5.7.8 wrong password for "+smtpUser)
	}
	return s.answer(conn, "AUTH", "235 2.7.0 welcome")
}

func (s *smtpServer) message(conn net.Conn, r *bufio.Reader) bool {
	var data strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		data.WriteString(line)
	}
	s.mu.Lock()
	s.data = append(s.data, data.String())
	s.mu.Unlock()
	return s.answer(conn, ".", "250 2.0.0 queued for "+customer)
}

// heard and kept return what the server was told and which messages it took.
func (s *smtpServer) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

func (s *smtpServer) kept() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.data)
}

func (s *smtpServer) options() mail.SMTPOptions {
	o := mail.SMTPOptions{Host: s.host, Port: s.port, Username: smtpUser, Password: secret.New(smtpPassword), RootCAs: s.cas,
		Timeout: 500 * time.Millisecond, HELO: "makegood.test", Now: clock}
	if s.implicit {
		o.TLS = "implicit"
	}
	return o
}

func smtpSender(t *testing.T, o mail.SMTPOptions) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSMTPSends(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		change  func(*smtpServer)
		options func(*mail.SMTPOptions)
	}{
		{"starttls", nil, func(*mail.SMTPOptions) {}},
		{"implicit TLS", func(s *smtpServer) { s.implicit = true }, func(*mail.SMTPOptions) {}},
		{"LOGIN only", func(s *smtpServer) { s.extensions = []string{"STARTTLS", "AUTH LOGIN"} }, func(*mail.SMTPOptions) {}},
		{"local relay", func(s *smtpServer) { s.extensions = nil },
			func(o *mail.SMTPOptions) { o.TLS, o.Username, o.Password = "none", "", secret.Value{} }},
		{"local relay with password", nil, func(o *mail.SMTPOptions) { o.TLS = "none" }},
		{"bad good-bye", func(s *smtpServer) { s.replies["QUIT"] = "hang up" }, func(*mail.SMTPOptions) {}},
		{"EHLO unknown", func(s *smtpServer) { s.replies["EHLO"] = "502 what" },
			func(o *mail.SMTPOptions) { o.TLS, o.Username, o.Password = "none", "", secret.Value{} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startSMTP(t, tt.change)
			o := server.options()
			tt.options(&o)
			got, err := smtpSender(t, o).Send(t.Context(), message())
			if err != nil {
				t.Fatal(err)
			}
			if want := (mail.Receipt{Via: "smtp", RemoteID: messageID, AcceptedAt: now}); got != want {
				t.Errorf("Send = %+v, want %+v", got, want)
			}
			if len(server.kept()) != 1 {
				t.Errorf("the server has %d messages, want 1", len(server.kept()))
			}
		})
	}
}

// messageID follows from the idempotency key of message().
const messageID = "<2a21c1c554b00b37fbcd7f0f3559f0f58e4f72da@shop.example>"

func TestSMTPSendsTheSameBytes(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, nil)
	for range 20 { // maps are walked in another order each time
		if _, err := smtpSender(t, server.options()).Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	first := server.kept()[0]
	for _, data := range server.kept() {
		if diff := cmp.Diff(first, data); diff != "" {
			t.Fatalf("DATA differs (-first +again):\n%s", diff)
		}
	}
	other := with(func(m *mail.Message) { m.IdempotencyKey = "licence/ord_2/0" })
	if _, err := smtpSender(t, server.options()).Send(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(server.kept()[20], messageID) {
		t.Error("another message has the same Message-ID")
	}
}

// TestSMTPMessageReads parses what arrived with the standard library, as a reader's program would.
func TestSMTPMessageReads(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, nil)
	if _, err := smtpSender(t, server.options()).Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(strings.NewReader(strings.ReplaceAll(server.kept()[0], "\r\n..", "\r\n.")))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if want := message().Subject; subject != want {
		t.Errorf("Subject = %q, want %q", subject, want)
	}
	for name, want := range map[string]string{
		"From": `"Gadget Shop" <shop@shop.example>`, "To": `"Ann" <` + customer + `>`, "Reply-To": "<help@shop.example>",
		"Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Message-Id": messageID, "X-A": "1", "X-B": "2", "List-Id": "<x.shop.example>",
		"X-Makegood-Tags": "a=1; kind=licence; order=ord_1; z=2", "User-Agent": "", "X-Mailer": "", "Bcc": "", "Resend-Idempotency-Key": "",
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type = %s, %v, want multipart/alternative", kind, err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	for _, want := range []struct{ kind, text string }{{"text/plain", message().Text}, {"text/html", message().HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(part))
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); err != nil || kind != want.kind || text != want.text {
			t.Errorf("part = %s %q, %v, want %s %q", kind, text, err, want.kind, want.text)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("after two parts: %v, want the end", err)
	}
}

func TestSMTPEnvelope(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, nil)
	sender := smtpSender(t, server.options())
	for _, to := range []string{"Ann <" + customer + ">", "änn@customer.example", `"ann smith"@customer.example`} {
		if _, err := sender.Send(t.Context(), with(func(m *mail.Message) { m.To = to })); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, line := range server.heard() {
		if strings.HasPrefix(line, "MAIL") || strings.HasPrefix(line, "RCPT") {
			got = append(got, line)
		}
	}
	want := []string{
		"MAIL FROM:<shop@shop.example> BODY=8BITMIME", "RCPT TO:<" + customer + ">",
		"MAIL FROM:<shop@shop.example> BODY=8BITMIME SMTPUTF8", "RCPT TO:<änn@customer.example>",
		"MAIL FROM:<shop@shop.example> BODY=8BITMIME", `RCPT TO:<"ann smith"@customer.example>`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	plain := startSMTP(t, func(s *smtpServer) { s.extensions = []string{"STARTTLS", "AUTH PLAIN"} })
	_, err := smtpSender(t, plain.options()).Send(t.Context(), with(func(m *mail.Message) { m.To = "änn@customer.example" }))
	if !isPermanent(err) {
		t.Errorf("Send to an address that the server cannot take = %v, want a permanent error", err)
	}
}

// verdict is what a caller does with an error.
type verdict struct{ permanent, configuration, uncertain bool }

func verdictOf(err error) verdict {
	return verdict{isPermanent(err), errors.Is(err, mail.ErrConfiguration), errors.Is(err, mail.ErrUncertain)}
}

func TestSMTPErrors(t *testing.T) {
	t.Parallel()
	var again, never, settings, unknown = verdict{}, verdict{permanent: true}, verdict{configuration: true}, verdict{uncertain: true}
	const text = " <" + customer + "> and " + smtpPassword + " are not liked"
	for _, tt := range []struct {
		name, verb, reply string
		want              verdict
	}{
		{"greeting not now", "", "421 4.3.2" + text, again},
		{"greeting never", "", "554 5.7.1" + text, settings},
		{"greeting of another protocol", "", "* OK IMAP4 ready for " + customer, settings},
		{"greeting without end", "", "chatter", settings},
		{"silent server", "", "silence", again},
		{"hung up at once", "", "hang up", again},
		{"starttls not now", "STARTTLS", "454 4.7.0" + text, again},
		{"starttls never", "STARTTLS", "502 5.5.1" + text, settings},
		{"password refused", "AUTH", "535 5.7.8" + text, settings},
		{"password not now", "AUTH", "454 4.7.0" + text, again},
		{"stronger mechanism", "AUTH", "534 5.7.9" + text, settings},
		{"sender refused", "MAIL", "550 5.7.1" + text, settings},
		{"authentication required", "MAIL", "530 5.7.0" + text, settings},
		{"sender not now", "MAIL", "451 4.3.0" + text, again},
		{"recipient unknown", "RCPT", "550 5.1.1" + text, never},
		{"recipient needs authentication", "RCPT", "530 5.7.0" + text, settings},
		{"recipient greylisted", "RCPT", "450 4.7.1" + text, again},
		{"recipient without enhanced code", "RCPT", "553" + text, never},
		{"hung up at recipient", "RCPT", "hang up", again},
		{"data refused", "DATA", "554 5.6.0" + text, never},
		{"data not now", "DATA", "452 4.3.1" + text, again},
		{"message refused", ".", "554 5.7.1" + text, never},
		{"message not now", ".", "451 4.7.0" + text, again},
		{"hung up after the message", ".", "hang up", unknown},
		{"silent after the message", ".", "silence", unknown},
		{"nonsense after the message", ".", "nonsense " + customer, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startSMTP(t, func(s *smtpServer) { s.replies[tt.verb] = tt.reply })
			_, err := smtpSender(t, server.options()).Send(t.Context(), message())
			if err == nil {
				t.Fatal("Send succeeded, want an error")
			}
			if got := verdictOf(err); got != tt.want || snoozed(err) != 0 {
				t.Errorf("Send = %v, verdict %+v, want %+v", err, got, tt.want)
			}
			checkPrivate(t, err)
			if !errors.Is(err, makegood.Unavailable) && tt.want == settings {
				t.Errorf("Send = %v, want a sentence of kind %v", err, makegood.Unavailable)
			}
			if code, _, _ := strings.Cut(tt.reply, " "); len(code) == 3 && !strings.Contains(err.Error(), code) {
				t.Errorf("Send = %v, want the code %s in it", err, code)
			}
		})
	}
}

func TestSMTPNeverSendsUnencrypted(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, func(s *smtpServer) { s.extensions = []string{"AUTH PLAIN"} })
	_, err := smtpSender(t, server.options()).Send(t.Context(), message())
	if got, want := verdictOf(err), (verdict{configuration: true}); got != want {
		t.Errorf("Send without STARTTLS = %v, verdict %+v, want %+v", err, got, want)
	}
	for _, line := range server.heard() {
		if !strings.HasPrefix(line, "EHLO") && !strings.HasPrefix(line, "QUIT") {
			t.Errorf("the server was told %q, want nothing but a greeting", line)
		}
	}
}

func TestSMTPChecksTheCertificate(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{true, false} {
		server := startSMTP(t, func(s *smtpServer) { s.implicit = implicit })
		o := server.options()
		o.RootCAs = x509.NewCertPool()
		_, err := smtpSender(t, o).Send(t.Context(), message())
		if got, want := verdictOf(err), (verdict{configuration: true}); got != want {
			t.Errorf("Send to an unknown certificate (implicit %v) = %v, verdict %+v, want %+v", implicit, err, got, want)
		}
		if len(server.kept()) != 0 || strings.Contains(strings.Join(server.heard(), "\n"), "AUTH") {
			t.Errorf("the server was told %q, want nothing", server.heard())
		}
	}
}

func TestSMTPWithoutServer(t *testing.T) {
	t.Parallel()
	for _, o := range []mail.SMTPOptions{{Host: "127.0.0.1", Port: 1, TLS: "none"}, {Host: "makegood.invalid", TLS: "none"}} {
		_, err := smtpSender(t, o).Send(t.Context(), message())
		if got, want := verdictOf(err), (verdict{}); err == nil || got != want {
			t.Errorf("Send to %s = %v, verdict %+v, want %+v", o.Host, err, got, want)
		}
	}
}

func TestSMTPEndsWithTheContext(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, func(s *smtpServer) { s.replies["MAIL"] = "silence" })
	o := server.options()
	o.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := smtpSender(t, o).Send(ctx, message())
	if took := time.Since(started); err == nil || took > 3*time.Second {
		t.Errorf("Send = %v after %v, want an error at the end of the context", err, took)
	}
}

func TestSMTPSendsNothingUnsendable(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, nil)
	for name, m := range unsendable {
		if _, err := smtpSender(t, server.options()).Send(t.Context(), m); !isPermanent(err) {
			t.Errorf("Send with %s = %v, want a permanent error", name, err)
		}
	}
	if got := len(server.heard()); got != 0 {
		t.Errorf("%d commands, want none", got)
	}
}

func TestSMTPCheck(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, nil)
	if err := smtpSender(t, server.options()).Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want nil", err)
	}
	if all := strings.Join(server.heard(), "\n"); strings.Contains(all, "MAIL") || !strings.Contains(all, "NOOP") || !strings.Contains(all, "AUTH") {
		t.Errorf("Check said %q, want AUTH and NOOP and no MAIL", all)
	}
	o := server.options()
	o.Password = secret.New("another")
	if err := smtpSender(t, o).Check(t.Context()); !errors.Is(err, mail.ErrConfiguration) {
		t.Errorf("Check with a wrong password = %v, want %v", err, mail.ErrConfiguration)
	}
	for _, verb := range []string{"NOOP", "EHLO"} {
		broken := startSMTP(t, func(s *smtpServer) { s.replies[verb] = "421 4.3.2 later" })
		if err := smtpSender(t, broken.options()).Check(t.Context()); err == nil {
			t.Errorf("Check with a broken %s = nil, want an error", verb)
		}
	}
}

func TestNewSMTP(t *testing.T) {
	t.Parallel()
	password := secret.New(smtpPassword)
	for name, o := range map[string]mail.SMTPOptions{
		"no host":               {},
		"host with port":        {Host: "mail.example\r\n"},
		"address as host":       {Host: "smtp://mail.example/"},
		"unknown TLS":           {Host: "mail.example", TLS: "maybe"},
		"negative port":         {Host: "mail.example", Port: -1},
		"huge port":             {Host: "mail.example", Port: 70000},
		"user without password": {Host: "mail.example", Username: smtpUser},
		"password without user": {Host: "mail.example", Password: password},
		"password in the clear": {Host: "mail.example", Username: smtpUser, Password: password, TLS: "none"},
		"clear to a private IP": {Host: "10.0.0.1", Username: smtpUser, Password: password, TLS: "none"},
	} {
		_, err := mail.NewSMTP(o)
		if !errors.Is(err, makegood.Invalid) {
			t.Errorf("NewSMTP with %s = %v, want %v", name, err, makegood.Invalid)
		}
		checkPrivate(t, err)
	}
	for host, want := range map[string]time.Duration{"mail.example": 0, "smtp.resend.com": 24 * time.Hour} {
		s := smtpSender(t, mail.SMTPOptions{Host: host, Username: "resend", Password: password})
		if got := s.RemembersFor(); got != want {
			t.Errorf("RemembersFor of %s = %v, want %v", host, got, want)
		}
		b, err := s.Render(message())
		if got := strings.Contains(string(b), "\r\nResend-Idempotency-Key: licence/ord_1/0\r\n"); err != nil || got != (want > 0) {
			t.Errorf("message for %s has the key = %v, %v, want %v", host, got, err, want > 0)
		}
		if got := fmt.Sprintf("%v %+v %#v", s, s, *s); strings.Contains(got, smtpPassword) {
			t.Errorf("printed = %s, want no password", got)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("Ann <ann@x.example>", "Hello", "text", "key")
	f.Add("a@b\r\nBcc: c@d", "x\ny", "\r\n.\r\n", "k")
	f.Add(`"a\"b"@x.example`, "=?utf-8?q?=0D=0A?=", "ü", "k k")
	f.Fuzz(func(t *testing.T, to, subject, text, key string) {
		m := with(func(m *mail.Message) { m.To, m.Subject, m.Text, m.IdempotencyKey = to, subject, text, key })
		b, err := m.Encode()
		if err != nil {
			return
		}
		back, err := mail.Decode(b)
		if err != nil {
			t.Fatalf("Decode of Encode(%q) = %v", m, err)
		}
		again, err := back.Encode()
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("Encode of Decode = %s, %v, want %s", again, err, b)
		}
	})
}

// FuzzRender: whatever is in a message, it adds no header, and the addresses read back as they were.
func FuzzRender(f *testing.F) {
	f.Add("Ann <ann@x.example>", "Hello", "text", "<p>", "value")
	f.Add(`"a\"b" <ann@x.example>`, "=?utf-8?q?=0D=0ABcc:_x?=", "\r\n.\r\nBcc: x", "", "=?utf-8?b?DQpCY2M6?=")
	f.Add("ann@x.example", strings.Repeat("ü ", 200), "ü", "\x01", strings.Repeat("a ", 400))
	sender, err := mail.NewSMTP(mail.SMTPOptions{Host: "mail.example"})
	if err != nil {
		f.Fatal(err)
	}
	allowed := map[string]bool{"From": true, "To": true, "Reply-To": true, "Subject": true, "Date": true, "Message-Id": true,
		"Mime-Version": true, "Content-Type": true, "Content-Transfer-Encoding": true, "X-Makegood-Tags": true, "X-Value": true}
	f.Fuzz(func(t *testing.T, to, subject, text, html, value string) {
		m := with(func(m *mail.Message) {
			m.To, m.Subject, m.Text, m.HTML, m.Headers = to, subject, text, html, map[string]string{"X-Value": value}
		})
		if m.Validate() != nil {
			return
		}
		b, err := sender.Render(m)
		if err != nil {
			t.Fatalf("Render(%q) = %v", m, err)
		}
		got, err := netmail.ReadMessage(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("reading %q: %v", b, err)
		}
		for name, values := range got.Header {
			if !allowed[name] || len(values) != 1 {
				t.Errorf("header %s: %q in %q, want it once or never", name, values, b)
			}
		}
		want, _ := netmail.ParseAddress(to)
		if read, err := got.Header.AddressList("To"); err != nil || len(read) != 1 || read[0].Address != want.Address {
			t.Errorf("To = %v, %v, want %v", read, err, want)
		}
	})
}
