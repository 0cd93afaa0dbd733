package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

func conditions(t *testing.T, k Kind, texts ...string) []Condition {
	t.Helper()
	all, err := ParseAll(k, texts)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lookHTTP(t *testing.T, o HTTPOptions) Sight {
	t.Helper()
	h, err := NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s := h.Look(ctx)
	if s.At.IsZero() || s.Took <= 0 {
		t.Errorf("the look began %v and took %v", s.At, s.Took)
	}
	return s
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health":
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"status":"degraded"}`)
		case "/echo":
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Header.Get("X-Token"), r.URL.RawQuery, r.Host, b)
		case "/moved":
			http.Redirect(w, r, "/health?token=secret", http.StatusFound)
		case "/big":
			io.WriteString(w, `{"a":"`+strings.Repeat("a", BodyBytesMax)+`"}`)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("a", 1<<16)); err != nil {
					return
				}
			}
		case "/broken":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		case "/hangup":
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		case "/nonsense":
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "SSH-2.0-OpenSSH\r\n\r\n")
			conn.Close()
		}
	}))
	t.Cleanup(server.Close)
	for _, tt := range []struct {
		name, path string
		texts      []string
		change     func(o *HTTPOptions)
		want       string
	}{
		{name: "well", path: "/", texts: []string{"[STATUS] == 200", "[CONNECTED]", "[IP] == 127.0.0.1", "[RESPONSE_TIME] < 10s"}},
		{name: "any answer will do", path: "/health"},
		{name: "ill", path: "/health", texts: []string{"[STATUS] == 200", "[BODY].status == healthy"}, want: "[STATUS] == 200 (503); [BODY].status == healthy (degraded)"},
		{name: "method, header, host and body", path: "/echo?q=1", texts: []string{"[BODY] == POST abcd q=1 shop.example hello"}, change: func(o *HTTPOptions) {
			o.Method, o.Body, o.Headers = "POST", "hello", map[string]string{"X-Token": "abcd", "Host": "shop.example"}
		}},
		{name: "what was sent is not shown", path: "/echo?key=sesame-sesame", texts: []string{"[BODY] == x"}, want: "[BODY] == x (GET … … h)", change: func(o *HTTPOptions) {
			o.Headers = map[string]string{"X-Token": "Bearer hunter22", "Host": "h"}
		}},
		{name: "redirects are not followed", path: "/moved", texts: []string{"[STATUS] == 302", "[HEADER].Location == pat(/health*)"}},
		{name: "unless they are", path: "/moved", texts: []string{"[STATUS] == 302"}, change: func(o *HTTPOptions) { o.Redirects = 1 }, want: "[STATUS] == 302 (503)"},
		{name: "an endless body", path: "/endless", texts: []string{"[BODY] == pat(a*)", "[STATUS] == 200"}},
		{name: "an endless body at which nobody looks", path: "/endless", texts: []string{"[STATUS] == 200"}},
		{name: "a long body", path: "/big", texts: []string{"[BODY].a == b"}, want: "[BODY].a == b (longer than 1 MiB)"},
		{name: "a body that breaks off", path: "/broken", want: "the connection was broken off"},
		{name: "no answer at all", path: "/hangup", want: "the connection was broken off"},
		{name: "no HTTP", path: "/nonsense", want: "the answer cannot be understood"},
		{name: "a connection that should not be", path: "/", texts: []string{"[CONNECTED] == false"}, want: "[CONNECTED] == false (true)"},
		{name: "private, and not allowed", path: "/", change: func(o *HTTPOptions) { o.AllowPrivate = false }, want: "the address is private, and looking there is not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := HTTPOptions{URL: server.URL + tt.path, Conditions: conditions(t, KindHTTP, tt.texts...), AllowPrivate: true}
			if tt.change != nil {
				tt.change(&o)
			}
			if s := lookHTTP(t, o); s.Trouble != tt.want || s.Unknown {
				t.Errorf("the look saw %q (unknown: %v), want %q", s.Trouble, s.Unknown, tt.want)
			}
		})
	}
}

func TestNewHTTPRefuses(t *testing.T) {
	t.Parallel()
	for _, o := range []HTTPOptions{
		{URL: "ftp://x.example/?secret"}, {URL: "://secret"}, {URL: "/path"}, {URL: "http://x.example", Redirects: -1}, {URL: "http://x.example", Redirects: 11},
		{URL: "http://x.example", Method: "GET SECRET"}, {URL: "http://x.example", Conditions: conditions(t, KindDisk, "[DISK_FREE] > 1")},
	} {
		if _, err := NewHTTP(o); err == nil || strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("NewHTTP(%q) = %v", o.URL, err)
		}
	}
}

// silent listens and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closed is an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSilenceAndRefusal(t *testing.T) {
	t.Parallel()
	hush, shut := silent(t), closed(t)
	page := func(address string, texts ...string) Prober {
		h, err := NewHTTP(HTTPOptions{URL: "http://" + address + "/?token=secret", Conditions: conditions(t, KindHTTP, texts...), AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	port := func(address string, shake bool, texts ...string) Prober {
		p, err := NewTCP(TCPOptions{Address: address, TLS: shake, Conditions: conditions(t, KindTCP, texts...), AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		name   string
		prober Prober
		want   string
	}{
		{"page, refused", page(shut, "[STATUS] == 200"), "cannot connect: connection refused"},
		{"page, silent", page(hush, "[STATUS] == 200"), "connected, but no answer within 200ms"},
		{"page that has to be shut", page(shut, "[CONNECTED] == false"), ""},
		{"page that has to be shut, silent", page(hush, "[CONNECTED] == false"), "connected, but no answer within 200ms"},
		{"port, open", port(hush, false), ""},
		{"port, open and fast", port(hush, false, "[CONNECTED] == true", "[RESPONSE_TIME] < 1m", "[IP] == 127.0.0.1"), ""},
		{"port, refused", port(shut, false), "cannot connect: connection refused"},
		{"port that has to be shut", port(shut, false, "[CONNECTED] == false"), ""},
		{"port that has to be shut, open", port(hush, false, "[CONNECTED] == false"), "[CONNECTED] == false (true)"},
		{"TLS, silent", port(hush, true), "connected, but no answer within 200ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			s := tt.prober.Look(ctx)
			// The time that is left of 200 ms when the look begins differs.
			got := s.Trouble
			if before, _, ok := strings.Cut(got, "within "); ok {
				got = before + "within 200ms"
			}
			if got != tt.want || s.Unknown {
				t.Errorf("the look saw %q, want %q", s.Trouble, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := page(hush).Look(ctx); !s.Unknown {
		t.Errorf("a look that is called off saw %+v", s)
	}
	if _, err := NewTCP(TCPOptions{Address: "nonsense"}); err == nil {
		t.Error("an address without port was taken")
	}
	if _, err := NewTCP(TCPOptions{Address: "a:1", Conditions: conditions(t, KindDisk, "[DISK_FREE] > 1")}); err == nil {
		t.Error("a condition on a disk was taken")
	}
	private, err := NewTCP(TCPOptions{Address: hush})
	if err != nil {
		t.Fatal(err)
	}
	if s := private.Look(t.Context()); !strings.Contains(s.Trouble, "private") {
		t.Errorf("a private port saw %+v", s)
	}
}

// Errors are told by what they are.
func TestExplain(t *testing.T) {
	t.Parallel()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: err}
	}
	for _, tt := range []struct {
		err     error
		reached bool
		want    string
		ours    bool
	}{
		{err: dial(syscall.ECONNREFUSED), want: "cannot connect: connection refused"},
		{err: dial(syscall.EHOSTUNREACH), want: "cannot connect: no route to the host"},
		{err: dial(syscall.ENETUNREACH), want: "cannot connect: the network cannot be reached"},
		{err: dial(syscall.EPERM), want: "cannot connect: a firewall forbids it"},
		{err: dial(syscall.ETIMEDOUT), want: "no answer within 5s"},
		{err: dial(syscall.ETIMEDOUT), reached: true, want: "connected, but no answer within 5s"},
		{err: dial(syscall.EMFILE), want: "this machine has no more room for connections", ours: true},
		{err: dial(syscall.EADDRNOTAVAIL), want: "this machine has no more room for connections", ours: true},
		{err: &net.DNSError{IsNotFound: true, Name: "shop.example.com"}, want: "the name shop.example.com is not known"},
		{err: &net.DNSError{IsTimeout: true}, want: "the name servers did not answer for shop.example.com"},
		{err: &net.DNSError{IsTemporary: true}, want: "the name shop.example.com cannot be looked up"},
		{err: syscall.ECONNRESET, reached: true, want: "the connection was broken off"},
		{err: io.ErrUnexpectedEOF, reached: true, want: "the connection was broken off"},
		{err: errors.New("https://x.example/?secret"), want: "cannot connect"},
		{err: errors.New("https://x.example/?secret"), reached: true, want: "the answer cannot be understood"},
		{err: tls.AlertError(40), reached: true, want: "the other side refused the TLS handshake (alert 40)"},
		{err: tls.RecordHeaderError{}, reached: true, want: "the other side does not speak TLS"},
		{err: &tls.CertificateVerificationError{Err: errors.New("x")}, reached: true, want: "the certificate cannot be verified"},
		{err: x509.CertificateInvalidError{Reason: x509.TooManyConstraints}, want: "the certificate is not valid"},
	} {
		a := attempt{host: "shop.example.com", connected: tt.reached, waited: 5 * time.Second}
		if got, ours := a.explain(t.Context(), fmt.Errorf("wrapped: %w", tt.err)); got != tt.want || ours != tt.ours {
			t.Errorf("explain(%v) = %q, %v, want %q, %v", tt.err, got, ours, tt.want, tt.ours)
		}
	}
}

// certificateFor makes a certificate that signs itself.
func certificateFor(t *testing.T, name string, from, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: []string{name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		dns     string
		from    time.Time
		until   time.Time
		trusted bool
		want    string
	}{
		{"good for long", "localhost", now.Add(-time.Hour), now.Add(1000 * time.Hour), true, ""},
		{"good for a day", "localhost", now.Add(-time.Hour), now.Add(24 * time.Hour), true, "[CERTIFICATE_EXPIRATION] > 48h (24h)"},
		{"expired", "localhost", now.Add(-48 * time.Hour), now.Add(-24 * time.Hour), true, "the certificate is not valid now: it is from 2026-11-20 to 2026-11-21"},
		{"of another", "other.example", now.Add(-time.Hour), now.Add(1000 * time.Hour), true, "the certificate is for another name"},
		{"not trusted", "localhost", now.Add(-time.Hour), now.Add(1000 * time.Hour), false, "the certificate is signed by an authority that is not trusted, or its chain is not complete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert, roots := certificateFor(t, tt.dns, tt.from, tt.until)
			if !tt.trusted {
				roots = x509.NewCertPool()
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			clock := func() time.Time { return now }
			h, err := NewHTTP(HTTPOptions{URL: "https://localhost:" + port, Conditions: conditions(t, KindHTTP, "[CERTIFICATE_EXPIRATION] > 48h"), AllowPrivate: true, Roots: roots, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewTCP(TCPOptions{Address: "localhost:" + port, Conditions: conditions(t, KindTCP, "[CERTIFICATE_EXPIRATION] > 48h"), AllowPrivate: true, Roots: roots, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			for _, prober := range []Prober{h, p} {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if s := prober.Look(ctx); s.Trouble != tt.want || s.Unknown {
					t.Errorf("%T saw %q, want %q", prober, s.Trouble, tt.want)
				}
				cancel()
			}
		})
	}
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.Start()
	t.Cleanup(plain.Close)
	if s := lookHTTP(t, HTTPOptions{URL: strings.Replace(plain.URL, "http:", "https:", 1), AllowPrivate: true}); s.Trouble != "the other side does not speak TLS" {
		t.Errorf("a server without TLS was seen as %q", s.Trouble)
	}
}

func TestDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, text, want string
	}{
		{t.TempDir(), "[DISK_FREE_BYTES] > 0", ""},
		{t.TempDir(), "[DISK_FREE] <= 100", ""},
		{"/no/such/path", "[DISK_FREE] > 0", "the path is not there"},
	} {
		d, err := NewDisk(DiskOptions{Path: tt.path, Conditions: conditions(t, KindDisk, tt.text)})
		if err != nil {
			t.Fatal(err)
		}
		if s := d.Look(t.Context()); s.Trouble != tt.want || s.Unknown {
			t.Errorf("the look at %s saw %+v, want %q", tt.text, s, tt.want)
		}
	}
	d, err := NewDisk(DiskOptions{Path: t.TempDir(), Conditions: conditions(t, KindDisk, "[DISK_FREE_BYTES] < 0")})
	if err != nil {
		t.Fatal(err)
	}
	if s := d.Look(t.Context()); !strings.HasPrefix(s.Trouble, "[DISK_FREE_BYTES] < 0 (") {
		t.Errorf("a full disk was seen as %+v", s)
	}
	d.asking.Store(true) // the kernel still thinks about the question before
	if s := d.Look(t.Context()); s.Trouble != "the disk did not answer in time" {
		t.Errorf("a disk that hangs was seen as %+v", s)
	}
	if (room{}).percent() != 0 || (room{1, 4}).percent() != 25 {
		t.Error("the percentages are wrong")
	}
	if _, err := NewDisk(DiskOptions{}); err == nil {
		t.Error("an empty path was taken")
	}
	if _, err := NewDisk(DiskOptions{Path: "/", Conditions: conditions(t, KindHTTP, "[STATUS] == 1")}); err == nil {
		t.Error("a condition on a page was taken")
	}
}
