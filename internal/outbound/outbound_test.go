package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/outbound"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func local(t *testing.T, o outbound.Options) *outbound.Client {
	t.Helper()
	o.AllowPrivate = true
	c := outbound.New(o)
	t.Cleanup(c.CloseIdle)
	return c
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestDoReturnsAnyStatus(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Agent", r.UserAgent())
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s", r.Method, b)
	})
	req, _ := http.NewRequest("POST", s.URL, strings.NewReader("hello"))
	got, err := local(t, outbound.Options{UserAgent: "Makegood/1"}).Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTeapot || string(got.Body) != "POST hello" || got.Header.Get("X-Agent") != "Makegood/1" {
		t.Errorf("Do = %d %q %v, want 418 with the body and our agent", got.Status, got.Body, got.Header)
	}
	if req.Header.Get("User-Agent") != "" {
		t.Error("Do changed the request of the caller")
	}
}

func TestDoFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	got, err := local(t, outbound.Options{}).Do(t.Context(), get(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTemporaryRedirect || got.Header.Get("Location") != "/elsewhere" || hits.Load() != 1 {
		t.Errorf("Do = %d to %q after %d requests, want the redirect itself after one", got.Status, got.Header.Get("Location"), hits.Load())
	}
}

func TestDoCapsTheBody(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for _, tt := range []struct {
		name  string
		write http.HandlerFunc
		want  error
	}{
		{"exactly the limit", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", limit)) }, nil},
		{"one more", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", limit+1)) }, outbound.ErrBodyTooLarge},
		{"without a length", func(w http.ResponseWriter, _ *http.Request) {
			for range limit + 1 {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
			}
		}, outbound.ErrBodyTooLarge},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.WriteString(z, strings.Repeat("x", 100*limit))
			z.Close()
		}, outbound.ErrBodyTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := local(t, outbound.Options{BodyBytesMax: limit}).Do(t.Context(), get(t, serve(t, tt.write).URL))
			if !errors.Is(err, tt.want) {
				t.Errorf("Do = %v, want %v", err, tt.want)
			}
			if !outbound.MaybeSent(err) {
				t.Error("MaybeSent = false after an answer, want true")
			}
		})
	}
}

func TestDoHasADeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
	}{
		{"before the answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"in the body", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := local(t, outbound.Options{Timeout: 50 * time.Millisecond})
			_, err := c.Do(context.WithoutCancel(t.Context()), get(t, serve(t, tt.h).URL))
			if !errors.Is(err, context.DeadlineExceeded) || !outbound.MaybeSent(err) {
				t.Errorf("Do = %v (maybe sent %v), want a deadline after sending", err, outbound.MaybeSent(err))
			}
		})
	}
}

func TestDoRefusesPrivateAddressesWhenConnecting(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	port := s.Listener.Addr().(*net.TCPAddr).Port
	c := outbound.New(outbound.Options{})
	t.Cleanup(c.CloseIdle)
	// A name, a number, an odd spelling: what counts is the address that comes out of resolving them.
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"} {
		_, err := c.Do(t.Context(), get(t, fmt.Sprintf("http://%s:%d/", host, port)))
		if !errors.Is(err, outbound.ErrRefusedAddress) && !strings.Contains(fmt.Sprint(err), "cannot assign") {
			t.Errorf("Do to %s = %v, want %v", host, err, outbound.ErrRefusedAddress)
		}
		if outbound.MaybeSent(err) {
			t.Errorf("MaybeSent after a refused address %s = true, want false", host)
		}
	}
	if got := hits.Load(); got != 0 {
		t.Errorf("the server was reached %d times, want 0", got)
	}
}

func TestDoUsesNoProxyOfTheEnvironment(t *testing.T) {
	var proxied atomic.Int32
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { proxied.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	// A name that does not resolve, because the standard library never proxies loopback.
	_, err := local(t, outbound.Options{}).Do(t.Context(), get(t, "http://makegood.invalid/"))
	if err == nil || proxied.Load() != 0 {
		t.Errorf("Do = %v with %d requests at the proxy, want an error and none", err, proxied.Load())
	}
}

func TestDoRefusesOtherTargets(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"file:///etc/passwd", "ftp://example.com/", "//example.com/", "http:///x", "gopher://127.0.0.1:25/_x"} {
		_, err := outbound.New(outbound.Options{}).Do(t.Context(), get(t, u))
		if !errors.Is(err, outbound.ErrTarget) || outbound.MaybeSent(err) {
			t.Errorf("Do to %s = %v, want %v and nothing sent", u, err, outbound.ErrTarget)
		}
	}
}

// raw answers every connection with the same bytes, or with what it was sent when echo is set, and hangs up.
func raw(t *testing.T, answer string, echo bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := conn.Read(buf)
			if echo {
				conn.Write(buf[:n])
			}
			io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestErrorsShowOnlySchemeAndHost(t *testing.T) {
	t.Parallel()
	const secrets = "/services/T0KEN?key=qu3ry"
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, tt := range []struct{ name, base string }{
		{"refused", "http://ann:passw0rd@" + closedPort(t)},
		{"unknown name", "http://ann:passw0rd@makegood.invalid"},
		{"time-out", "http://ann:passw0rd@" + slow.Listener.Addr().String()},
		{"plain server behind https", "https://ann:passw0rd@" + slow.Listener.Addr().String()},
		{"hung up", "http://ann:passw0rd@" + raw(t, "", false)},
		{"echo", "http://ann:passw0rd@" + raw(t, "", true)},
		{"echo as header", "http://ann:passw0rd@" + raw(t, "HTTP/1.1 200 OK\r\npassw0rd T0KEN qu3ry\r\n\r\n", false)},
		{"echo as status", "http://ann:passw0rd@" + raw(t, "HTTP/1.1 T0KEN\r\n\r\n", false)},
		{"echo as length", "http://ann:passw0rd@" + raw(t, "HTTP/1.1 200 OK\r\nContent-Length: T0KEN\r\n\r\n", false)},
		{"echo as encoding", "http://ann:passw0rd@" + raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: T0KEN\r\n\r\n", false)},
		{"cut body", "http://ann:passw0rd@" + raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nT0K", false)},
		{"other scheme", "ftp://ann:passw0rd@example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := local(t, outbound.Options{Timeout: 200 * time.Millisecond}).Do(t.Context(), get(t, tt.base+secrets))
			if err == nil {
				t.Fatal("Do succeeded, want an error")
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, hidden := range []string{"passw0rd", "ann", "T0KEN", "qu3ry"} {
					if strings.Contains(e.Error(), hidden) {
						t.Errorf("error %q shows %s", e, hidden)
					}
				}
			}
			var own *outbound.Error
			if u, _ := url.Parse(tt.base); !errors.As(err, &own) || own.Target != u.Scheme+"://"+u.Host {
				t.Errorf("error = %#v, want the target in it", err)
			}
		})
	}
}

func TestMaybeSent(t *testing.T) {
	t.Parallel()
	tlsServer := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate that we do not trust
	t.Cleanup(tlsServer.Close)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		url  string
		want bool
	}{
		{"port closed", t.Context(), "http://" + closedPort(t), false},
		{"unknown name", t.Context(), "http://makegood.invalid", false},
		{"untrusted certificate", t.Context(), tlsServer.URL, false},
		{"cancelled before", cancelled, tlsServer.URL, false},
		{"hung up after reading", t.Context(), "http://" + raw(t, "", false), true},
		{"answer is nonsense", t.Context(), "http://" + raw(t, "nonsense\r\n\r\n", false), true},
		{"answer is cut", t.Context(), "http://" + raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", false), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequest("POST", tt.url, strings.NewReader("{}"))
			_, err := local(t, outbound.Options{}).Do(tt.ctx, req)
			if err == nil {
				t.Fatal("Do succeeded, want an error")
			}
			if got := outbound.MaybeSent(fmt.Errorf("wrapped: %w", err)); got != tt.want {
				t.Errorf("MaybeSent(%v) = %v, want %v", err, got, tt.want)
			}
		})
	}
	if !outbound.MaybeSent(errors.New("whatever")) || !outbound.MaybeSent(nil) {
		t.Error("MaybeSent of what is not ours = false, want true")
	}
}

// TestMaybeSentOverHTTP2: the other protocol reports its connections in another way.
func TestMaybeSentOverHTTP2(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("protocol = %s, want HTTP/2", r.Proto)
		}
		panic(http.ErrAbortHandler) // resets the stream
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := local(t, outbound.Options{})
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c.Trust(roots)
	for _, what := range []string{"new", "kept"} {
		req, _ := http.NewRequest("POST", s.URL, strings.NewReader("{}"))
		if _, err := c.Do(t.Context(), req); err == nil || !outbound.MaybeSent(err) {
			t.Errorf("MaybeSent(%v) over a %s connection = false, want true", err, what)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"", 0, false},
		{"0", 0, true},
		{"7", 7 * time.Second, true},
		{" 120 ", 2 * time.Minute, true},
		{"86400", 24 * time.Hour, true},
		{"86401", 24 * time.Hour, true},
		{"99999999999999999999999999", 24 * time.Hour, true},
		{"-5", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{"Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second, true},
		{"Sun, 01 Mar 2026 11:00:00 GMT", 0, true},
		{"Mon, 01 Mar 2027 12:00:00 GMT", 24 * time.Hour, true},
		{"Sunday, 01-Mar-26 12:00:30 GMT", 30 * time.Second, true},
	} {
		got, ok := outbound.RetryAfter(http.Header{"Retry-After": {tt.header}}, now)
		if got != tt.want || ok != tt.ok {
			t.Errorf("RetryAfter(%q) = %v, %v, want %v, %v", tt.header, got, ok, tt.want, tt.ok)
		}
	}
	if _, ok := outbound.RetryAfter(http.Header{}, now); ok {
		t.Error("RetryAfter without a header = true, want false")
	}
}

// TestHeadersAreCapped: a server cannot fill the memory with headers either.
func TestHeadersAreCapped(t *testing.T) {
	t.Parallel()
	big := "HTTP/1.1 200 OK\r\nX-Big: " + string(bytes.Repeat([]byte("x"), 1<<20)) + "\r\n\r\n"
	if _, err := local(t, outbound.Options{}).Do(t.Context(), get(t, "http://"+raw(t, big, false))); err == nil {
		t.Error("Do with a header of 1 MiB succeeded, want an error")
	}
}
