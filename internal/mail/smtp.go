package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

const (
	// tagHeader carries the tags over SMTP, in lower case as in the table of reserved headers.
	tagHeader = "x-makegood-tags"
	// resendKeyHeader is how Resend takes an idempotency key over SMTP (its page "Idempotency keys").
	resendKeyHeader = "resend-idempotency-key"
	resendSMTPHost  = "smtp.resend.com"
)

// SMTPOptions say where to hand in mail and as whom.
type SMTPOptions struct {
	Host     string
	Port     int    // default 587 for starttls, 465 for implicit, 25 for none
	Username string // empty: no authentication
	Password secret.Value

	// TLS is "starttls" (the default: refuse a server without it), "implicit" (TLS from the first byte) or "none".
	TLS string

	HELO    string           // what we call ourselves; default the host name
	Timeout time.Duration    // for a whole session; default 30 s
	RootCAs *x509.CertPool   // instead of the system's, for a server with a certificate of its own
	Now     func() time.Time // for Receipt.AcceptedAt; default time.Now
}

// SMTP hands mail in to a server. The protocol knows no repetition: a connection that breaks between the end of the
// message and the server's last word leaves open whether it was accepted (ErrUncertain), and a second attempt may be a
// second mail, with the same Message-ID. smtp.resend.com is the exception: it is given the idempotency key.
//
// The message is written by go-mail, and the session is led here, step by step, because what an error means depends on
// the step.
type SMTP struct {
	options   SMTPOptions
	address   string
	remembers time.Duration
}

// NewSMTP makes a sender and connects to nothing. It refuses an empty host, an unknown kind of TLS, a user without a
// password or the reverse, and a password that would travel unencrypted to another machine.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	if o.TLS == "" {
		o.TLS = "starttls"
	}
	ports := map[string]int{"starttls": 587, "implicit": 465, "none": 25}
	usual, known := ports[o.TLS]
	if o.Port == 0 {
		o.Port = usual
	}
	switch {
	case !known:
		return nil, makegood.Errorf(makegood.Invalid, "The kind of TLS for SMTP is starttls, implicit or none.")
	case o.Host == "" || strings.ContainsAny(o.Host, "/@ \r\n"):
		return nil, makegood.Errorf(makegood.Invalid, "The SMTP server is not the name of a host.")
	case o.Port < 1 || o.Port > 65535:
		return nil, makegood.Errorf(makegood.Invalid, "The port of the SMTP server is not between 1 and 65535.")
	case (o.Username == "") != o.Password.Empty():
		return nil, makegood.Errorf(makegood.Invalid, "SMTP needs a user and a password, or neither.")
	case o.TLS == "none" && o.Username != "" && !isLoopback(o.Host):
		return nil, makegood.Errorf(makegood.Invalid, "The SMTP password would travel unencrypted; use starttls or implicit TLS.")
	}
	return newSMTP(o), nil
}

func newSMTP(o SMTPOptions) *SMTP {
	if o.Timeout <= 0 {
		o.Timeout = smtpTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HELO == "" {
		o.HELO, _ = os.Hostname()
	}
	if o.HELO == "" || !printable.MatchString(o.HELO) {
		o.HELO = "localhost"
	}
	s := &SMTP{options: o, address: net.JoinHostPort(o.Host, strconv.Itoa(o.Port))}
	if strings.EqualFold(o.Host, resendSMTPHost) {
		s.remembers = resendRemembers
	}
	return s
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// RemembersFor returns 0: SMTP does not recognise a repetition. For smtp.resend.com it is 24 hours.
func (s *SMTP) RemembersFor() time.Duration { return s.remembers }

// Send hands m in to the server. Its errors are those of Sender; besides:
//
//   - ErrConfiguration: the server refuses our user, our sender or TLS, or offers none;
//   - ErrUncertain: the connection broke after the message and before the server's answer.
//
// A recipient or message that the server refuses for good (5xx) is permanent; a refusal for now (4xx) is not.
func (s *SMTP) Send(ctx context.Context, m Message) (Receipt, error) {
	if err := m.Validate(); err != nil {
		return Receipt{}, err
	}
	data, err := s.render(m)
	if err != nil {
		return Receipt{}, permanent(makegood.Wrap(err, makegood.Internal, "The mail cannot be written."))
	}
	session, err := s.open(ctx)
	if err != nil {
		return Receipt{}, err
	}
	defer session.close()
	if err := session.handIn(m, data); err != nil {
		return Receipt{}, err
	}
	session.quit()
	return Receipt{Via: "smtp", RemoteID: m.messageID(), AcceptedAt: s.options.Now().UTC()}, nil
}

// Check opens a session as Send would, with TLS and authentication, asks for nothing (NOOP) and leaves.
func (s *SMTP) Check(ctx context.Context) error {
	session, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer session.close()
	if err := session.client.Noop(); err != nil {
		return fmt.Errorf("smtp: NOOP: %w", reply(err))
	}
	session.quit()
	return nil
}

// render writes m as the same bytes every time: date, message id and boundary are given, headers come out sorted, and
// nothing says which version of which program wrote it.
func (s *SMTP) render(m Message) ([]byte, error) {
	msg := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP),
		gomail.WithBoundary("mg"+m.digest("boundary")), gomail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(m.From), msg.To(m.To)); err != nil {
		return nil, errNotAddress
	}
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return nil, errNotAddress
		}
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date.UTC().Truncate(time.Second))
	msg.SetMessageIDWithValue(strings.Trim(m.messageID(), "<>"))
	for name, value := range m.Headers {
		msg.SetGenHeader(gomail.Header(textproto.CanonicalMIMEHeaderKey(name)), value)
	}
	var tags []string
	m.sortedTags(func(name, value string) { tags = append(tags, name+"="+value) })
	if tags != nil {
		msg.SetGenHeader("X-Makegood-Tags", strings.Join(tags, "; "))
	}
	if s.remembers > 0 {
		msg.SetGenHeader("Resend-Idempotency-Key", m.IdempotencyKey)
	}
	setBody(msg, m)
	var b bytes.Buffer
	_, err := msg.WriteTo(&b)
	return b.Bytes(), err
}

// setBody puts the plain text first: readers show the last alternative that they understand.
func setBody(msg *gomail.Msg, m Message) {
	if m.Text == "" {
		msg.SetBodyString(gomail.TypeTextHTML, m.HTML)
		return
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
}

// session is one connection to the server, ready to take a message.
type session struct {
	client *smtp.Client
	conn   net.Conn
	cancel context.CancelFunc
}

// open connects, says hello, and sets up TLS and authentication. Nothing of a message has left when it fails.
func (s *SMTP) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	conn, err := s.dial(ctx)
	if err != nil {
		cancel()
		return nil, openError("connecting", err)
	}
	// The protocol's library knows no context: when ctx ends, every read and write on the connection does.
	context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	ses := &session{conn: conn, cancel: cancel}
	if err := s.greet(ses); err != nil {
		ses.close()
		return nil, err
	}
	return ses, nil
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	conn = &boundedConn{Conn: conn, left: sessionBytesMax}
	if s.options.TLS != "implicit" {
		return conn, nil
	}
	secure := tls.Client(conn, s.tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.options.Host, RootCAs: s.options.RootCAs, MinVersion: tls.VersionTLS12}
}

func (s *SMTP) greet(ses *session) error {
	client, err := smtp.NewClient(ses.conn, s.options.Host)
	if err != nil {
		return openError("greeting", err)
	}
	ses.client = client
	if err := client.Hello(s.options.HELO); err != nil {
		return openError("EHLO", err)
	}
	if s.options.TLS == "starttls" {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return misconfigured("smtp: the server offers no STARTTLS")
		}
		if err := client.StartTLS(s.tlsConfig()); err != nil {
			return openError("STARTTLS", err)
		}
	}
	if s.options.Username == "" {
		return nil
	}
	return s.authenticate(client)
}

// authenticate takes the first mechanism that both sides know. Plain ones come first: the connection is encrypted or
// local, and every server gets them right.
func (s *SMTP) authenticate(client *smtp.Client) error {
	_, offered := client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	user, password, host := s.options.Username, s.options.Password.Reveal(), s.options.Host
	unencrypted := s.options.TLS == "none" // NewSMTP has seen to it that this is loopback
	var auth smtp.Auth
	switch {
	case slices.Contains(mechanisms, "PLAIN"):
		auth = smtp.PlainAuth("", user, password, host, unencrypted)
	case slices.Contains(mechanisms, "LOGIN"):
		auth = smtp.LoginAuth(user, password, host, unencrypted)
	case slices.Contains(mechanisms, "SCRAM-SHA-256"):
		auth = smtp.ScramSHA256Auth(user, password)
	case slices.Contains(mechanisms, "CRAM-MD5"):
		auth = smtp.CRAMMD5Auth(user, password)
	default:
		return misconfigured("smtp: the server offers no authentication that we know")
	}
	if err := client.Auth(auth); err != nil {
		return openError("AUTH", err)
	}
	return nil
}

// handIn leads the session from sender to the server's last word, which alone makes the message the server's.
func (ses *session) handIn(m Message, data []byte) error {
	if err := ses.allowUTF8(envelope(m.From) + envelope(m.To)); err != nil {
		return err
	}
	if err := ses.client.Mail(envelope(m.From)); err != nil {
		if code(err) >= 500 {
			return misconfigured("smtp: MAIL: %v", reply(err))
		}
		return fmt.Errorf("smtp: MAIL: %w", reply(err))
	}
	if err := ses.client.Rcpt(envelope(m.To)); err != nil {
		return refused("RCPT", err)
	}
	w, err := ses.client.Data()
	if err != nil {
		return refused("DATA", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("smtp: writing: %w", reply(err)) // without the last dot it is no message
	}
	if err := w.Close(); err != nil {
		if code(err) == 0 {
			return uncertain(fmt.Errorf("smtp: end of message: %w", reply(err)))
		}
		return refused("end of message", err)
	}
	return nil
}

// allowUTF8 asks for SMTPUTF8 only where an address needs it: some servers bounce a message that asks for it when the
// next server does not know it.
func (ses *session) allowUTF8(addresses string) error {
	needed := !printable.MatchString(strings.ReplaceAll(addresses, " ", ""))
	ses.client.SkipSMTPUTF8(!needed)
	if offered, _ := ses.client.Extension("SMTPUTF8"); needed && !offered {
		return permanent(errors.New("smtp: the address is not ASCII and the server takes no other"))
	}
	return nil
}

// quit says good-bye. The message is accepted already; what the server says to this, and whether, changes nothing.
func (ses *session) quit() {
	_ = ses.conn.SetDeadline(time.Now().Add(quitTimeout))
	_ = ses.client.Quit()
}

// close ends the connection; twice is once.
func (ses *session) close() {
	ses.cancel()
	_ = ses.conn.Close()
}

// envelope returns the address in angle brackets, quoted where it must be.
func envelope(s string) string {
	a, err := parseAddress(s)
	if err != nil {
		panic("unreachable: the message was validated")
	}
	return (&netmail.Address{Address: a.Address}).String()
}

// refused judges a refusal of the recipient or of the message. "Authentication required" is said at any step, and is
// not the recipient's fault.
func refused(step string, err error) error {
	switch c := code(err); {
	case c == 530 || c == 535:
		return misconfigured("smtp: %s: %v", step, reply(err))
	case c >= 500:
		return permanent(fmt.Errorf("smtp: %s: %w", step, reply(err)))
	}
	return fmt.Errorf("smtp: %s: %w", step, reply(err))
}

// openError tells a server that cannot just now (4xx, no network) from settings that no repetition cures: a refused
// password, an untrusted certificate, a missing ability.
func openError(step string, err error) error {
	var network net.Error
	transient := errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled)
	if c := code(err); c >= 400 && c < 500 || c == 0 && transient {
		return fmt.Errorf("smtp: %s: %w", step, reply(err))
	}
	return misconfigured("smtp: %s: %v", step, reply(err))
}

// code returns the server's reply code; 0 when the error is not a reply.
func code(err error) int {
	var said *textproto.Error
	if errors.As(err, &said) {
		return said.Code
	}
	return 0
}

var enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// reply keeps the codes of what a server said and drops the text, because servers repeat addresses and users in it.
func reply(err error) error {
	var said *textproto.Error
	if !errors.As(err, &said) {
		return wordless(err)
	}
	return errors.New(strings.TrimSpace(fmt.Sprintf("%d %s", said.Code, enhancedCode.FindString(said.Msg))))
}

// wordless keeps the errors of network and TLS, whose texts name the server only, and drops those of the protocol's
// library, which quote what was said.
func wordless(err error) error {
	var (
		network     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &network), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	case errors.Is(err, errTooTalkative):
		return errTooTalkative
	}
	return errors.New("the server's answer is not understood")
}

var errTooTalkative = errors.New("the server says too much")

// boundedConn ends a session in which the server talks without end; the protocol's library would listen to all of it.
type boundedConn struct {
	net.Conn
	left int
}

// Read reads until the bound is reached, and then fails.
func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooTalkative
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
