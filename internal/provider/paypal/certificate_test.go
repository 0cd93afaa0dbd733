package paypal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// hostileURLs are addresses of certificates that must never be asked for. HOST is PayPal's host of the mode, EVIL another.
var hostileURLs = strings.Split(strings.TrimSpace(`
http://HOST/v1/notifications/certs/CERT-1
HTTPS://HOST/v1/notifications/certs/CERT-1
Https://HOST/v1/notifications/certs/CERT-1
ftp://HOST/v1/notifications/certs/CERT-1
file:///v1/notifications/certs/CERT-1
gopher://HOST/v1/notifications/certs/CERT-1
data:text/plain,HOST/v1/notifications/certs/CERT-1
javascript:HOST/v1/notifications/certs/CERT-1
//HOST/v1/notifications/certs/CERT-1
HOST/v1/notifications/certs/CERT-1
/v1/notifications/certs/CERT-1
https:/HOST/v1/notifications/certs/CERT-1
https:HOST/v1/notifications/certs/CERT-1
https:///HOST/v1/notifications/certs/CERT-1
https:\\HOST\v1\notifications\certs\CERT-1
https://HOST\v1\notifications\certs\CERT-1
https://EVIL/v1/notifications/certs/CERT-1
https://EVIL\@HOST/v1/notifications/certs/CERT-1
https://EVIL#HOST/v1/notifications/certs/CERT-1
https://EVIL?HOST/v1/notifications/certs/CERT-1
https://EVIL/HOST/v1/notifications/certs/CERT-1
https://EVIL;HOST/v1/notifications/certs/CERT-1
https://EVIL%2f@HOST/v1/notifications/certs/CERT-1
https://EVIL%00HOST/v1/notifications/certs/CERT-1
https://HOST@EVIL/v1/notifications/certs/CERT-1
https://HOST:443@EVIL/v1/notifications/certs/CERT-1
https://user@HOST/v1/notifications/certs/CERT-1
https://user:pass@HOST/v1/notifications/certs/CERT-1
https://@HOST/v1/notifications/certs/CERT-1
https://:@HOST/v1/notifications/certs/CERT-1
https://HOST:443/v1/notifications/certs/CERT-1
https://HOST:8443/v1/notifications/certs/CERT-1
https://HOST:/v1/notifications/certs/CERT-1
https://HOST:22/v1/notifications/certs/CERT-1
https://HOST./v1/notifications/certs/CERT-1
https://HOST.EVIL/v1/notifications/certs/CERT-1
https://EVIL.HOST/v1/notifications/certs/CERT-1
https://xHOST/v1/notifications/certs/CERT-1
https://HOSTx/v1/notifications/certs/CERT-1
https://-HOST/v1/notifications/certs/CERT-1
https://HOST%2eEVIL/v1/notifications/certs/CERT-1
https://HOST%20/v1/notifications/certs/CERT-1
https://HOST%09/v1/notifications/certs/CERT-1
https://paypal.com/v1/notifications/certs/CERT-1
https://www.paypal.com/v1/notifications/certs/CERT-1
https://api.paypal.com.EVIL/v1/notifications/certs/CERT-1
https://api-paypal.com/v1/notifications/certs/CERT-1
https://api.paypa1.com/v1/notifications/certs/CERT-1
https://api.pаypal.com/v1/notifications/certs/CERT-1
https://xn--api-paypal.com/v1/notifications/certs/CERT-1
https://api。paypal。com/v1/notifications/certs/CERT-1
https://ⓐpi.paypal.com/v1/notifications/certs/CERT-1
https://API.PAYPAL.COM/v1/notifications/certs/CERT-1
https://api.paypal.com:443/v1/notifications/certs/CERT-1
https://api.sandbox.paypal.com@EVIL/v1/notifications/certs/CERT-1
https://OTHER/v1/notifications/certs/CERT-1
https://localhost/v1/notifications/certs/CERT-1
https://127.0.0.1/v1/notifications/certs/CERT-1
https://127.1/v1/notifications/certs/CERT-1
https://2130706433/v1/notifications/certs/CERT-1
https://0x7f000001/v1/notifications/certs/CERT-1
https://0177.0.0.1/v1/notifications/certs/CERT-1
https://[::1]/v1/notifications/certs/CERT-1
https://[::ffff:127.0.0.1]/v1/notifications/certs/CERT-1
https://169.254.169.254/v1/notifications/certs/CERT-1
https://[fd00:ec2::254]/v1/notifications/certs/CERT-1
https://metadata.google.internal/v1/notifications/certs/CERT-1
https://10.0.0.1/v1/notifications/certs/CERT-1
https://0/v1/notifications/certs/CERT-1
https://HOST
https://HOST/
https://HOST/v1/notifications/certs
https://HOST/v1/notifications/certs/
https://HOST/v1/notifications/certs//
https://HOST/v1/notifications/certs//CERT-1
https://HOST//v1/notifications/certs/CERT-1
https://HOST/v1//notifications/certs/CERT-1
https://HOST/./v1/notifications/certs/CERT-1
https://HOST/x/../v1/notifications/certs/CERT-1
https://HOST/v1/notifications/certs/.
https://HOST/v1/notifications/certs/..
https://HOST/v1/notifications/certs/../CERT-1
https://HOST/v1/notifications/certs/CERT-1/..
https://HOST/v1/notifications/certs/CERT-1/../../../oauth2/token
https://HOST/v1/notifications/certs/../../checkout/orders
https://HOST/v1/notifications/certs/%2e%2e/CERT-1
https://HOST/v1/notifications/certs/%2e%2e%2fCERT-1
https://HOST/v1/notifications/certs/..%2fCERT-1
https://HOST/v1/notifications/certs/..%5cCERT-1
https://HOST/v1/notifications/certs/..;/CERT-1
https://HOST/v1/notifications/certs/%252e%252e/CERT-1
https://HOST/v1/notifications/certs/CERT%2d1
https://HOST/v1/notifications/certs/CERT-1%00
https://HOST/v1/notifications/certs/CERT-1%0d%0aHost:EVIL
https://HOST/v1/notifications/certs/CERT-1%2f
https://HOST/v1/notifications/certs/CERT-1/
https://HOST/v1/notifications/certs/CERT-1/x
https://HOST/v1/notifications/certs/CERT-1\x
https://HOST/v1/notifications/certs/CERT-1.pem
https://HOST/v1/notifications/certs/CERT-1?
https://HOST/v1/notifications/certs/CERT-1?x=1
https://HOST/v1/notifications/certs/CERT-1?url=https://EVIL
https://HOST/v1/notifications/certs/CERT-1#
https://HOST/v1/notifications/certs/CERT-1#x
https://HOST/v1/notifications/certs/CERT-1;x
https://HOST/v1/notifications/certs/CERT-1&x
https://HOST/v1/notifications/certs/CERT 1
https://HOST/v1/notifications/certs/CERT-1@EVIL
https://HOST/v1/notifications/certs/CERT-1:x
https://HOST/v1/notifications/certs/@EVIL/CERT-1
https://HOST/v1/notifications/certs/-CERT
https://HOST/v1/notifications/certs/_CERT
https://HOST/v1/notifications/certs/CÉRT-1
https://HOST/v1/notifications/certs/CERT-1＃
https://HOST/v2/notifications/certs/CERT-1
https://HOST/V1/notifications/certs/CERT-1
https://HOST/v1/notifications/CERTS/CERT-1
https://HOST/v1/notifications/cert/CERT-1
https://HOST/v1/notifications/certs;/CERT-1
https://HOST/v1/notifications%2fcerts/CERT-1
https://HOST/v1%2fnotifications%2fcerts%2fCERT-1
https://HOST/v1/notifications/webhooks/CERT-1
https://HOST/v1/oauth2/token
https://HOST/redirect?to=/v1/notifications/certs/CERT-1
`), "\n")

func moreHostileURLs() []string {
	return []string{
		"", " ", "https://", "https://HOST/v1/notifications/certs/CERT-1 ", " https://HOST/v1/notifications/certs/CERT-1",
		"https://HOST/v1/notifications/certs/CERT-1\n", "https://HOST/v1/notifications/certs/CERT-1\r\nX: y", "https://HOST/v1/notifications/certs/CERT-1\x00",
		"https://HOST/v1/notifications/certs/CERT-1\t", "\thttps://HOST/v1/notifications/certs/CERT-1", "https://HO\tST/v1/notifications/certs/CERT-1",
		"https://HOST/v1/notifications/certs/" + strings.Repeat("A", 101), "https://HOST/v1/notifications/certs/" + strings.Repeat("A", 1_000_000),
		"https://HOST/v1/notifications/certs/CERT-1,https://HOST/v1/notifications/certs/CERT-1", "\uFEFFhttps://HOST/v1/notifications/certs/CERT-1",
		"https://HOST/v1/notifications/certs/CERT-1\u2028", "https://HOST/v1/notifications/certs/\xff",
	}
}

// TestHostileCertificateURLs sends each of them as a delivery: it is malformed, and nobody is asked. One source has
// PayPal's own hosts, one the simulation's, where the hosts are listeners that would notice.
func TestHostileCertificateURLs(t *testing.T) {
	t.Parallel()
	var dials atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dials.Add(1) }))
	t.Cleanup(evil.Close)
	evilHost := strings.TrimPrefix(evil.URL, "http://")
	all := append(moreHostileURLs(), hostileURLs...)
	if len(all) < 100 {
		t.Fatalf("there are only %d hostile addresses", len(all))
	}
	w := newWorld(t)
	own := strings.TrimPrefix(w.URL, "http://")
	for _, tt := range []struct {
		name, host, other string
		source            *paypal.PayPal
	}{
		{"live", "api.paypal.com", "api.sandbox.paypal.com", newWorld(t, func(o *paypal.Options) { o.Live, o.BaseURL = true, "" }).source},
		{"live, the other name", "api-m.paypal.com", "api-m.sandbox.paypal.com", newWorld(t, func(o *paypal.Options) { o.Live, o.BaseURL = true, "" }).source},
		{"test", "api.sandbox.paypal.com", "api.paypal.com", newWorld(t, func(o *paypal.Options) { o.BaseURL = "" }).source},
		{"test, the other name", "api-m.sandbox.paypal.com", "api-m.paypal.com", newWorld(t, func(o *paypal.Options) { o.BaseURL = "" }).source},
		{"the simulation", own, "api.paypal.com", w.source},
	} {
		good := "https://" + tt.host + "/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
		if tt.host == own {
			good = "http" + strings.TrimPrefix(good, "https")
		}
		if !tt.source.CertificateAllowed(good) {
			t.Errorf("%s: %s is not allowed, want it to be", tt.name, good)
		}
		for _, address := range all {
			address = strings.NewReplacer("HOST", tt.host, "EVIL", evilHost, "OTHER", tt.other).Replace(address)
			variants := []string{address}
			if tt.host == own { // where http is right, the same list again with it, and https is wrong
				if rest, ok := strings.CutPrefix(address, "https:"); ok {
					variants = append(variants, "http:"+rest)
				}
				if strings.HasPrefix(address, "http:") {
					variants = nil
				}
			}
			for _, address := range variants {
				body := []byte("{}")
				d := provider.Delivery{Header: w.Headers(body, now, w.webhook), Body: body, ReceivedAt: now}
				d.Header[paypal.HeaderCertificate] = []string{address}
				if _, err := tt.source.Verify(d); reasonOf(err) != provider.ReasonMalformed || errors.Is(err, makegood.Unavailable) {
					t.Errorf("%s: Verify with a certificate at %.200q = %v, want malformed", tt.name, address, err)
				}
			}
		}
		if n := tt.source.CertificateFetches(); n != 0 {
			t.Errorf("%s: %d certificates were asked for, want none", tt.name, n)
		}
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("the other host was reached %d times, want never", n)
	}
	if n := w.counted(""); n != 0 {
		t.Errorf("the simulation was reached %d times, want never", n)
	}
}

// A server of a certificate that a test makes up.
type issuer struct {
	*httptest.Server
	hits   atomic.Int32
	answer atomic.Pointer[http.HandlerFunc] // a retry of the client's may still read it when the next case begins
	root   *x509.Certificate
	key    *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.hits.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &i.key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	if i.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return i
}

func sandboxLeaf() *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "messageverificationcerts.sandbox.paypal.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
}

// say sets what is answered from now on.
func (i *issuer) say(answer http.HandlerFunc) { i.answer.Store(&answer) }

func (i *issuer) issue(t *testing.T, leaf *x509.Certificate, public any) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, leaf, i.root, public, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (i *issuer) source(t *testing.T, c *clock) *paypal.PayPal {
	w := newWorld(t)
	o := w.options
	o.BaseURL, o.Now, o.Roots = i.URL, c.Now, x509.NewCertPool()
	o.WebhookIDs = provider.Active(secret.New(oldWebhook))
	o.Roots.AddCert(i.root)
	return newSource(t, o)
}

func (i *issuer) delivery(id string, at time.Time) provider.Delivery {
	return provider.Delivery{Header: simulate.PayPalHeaders(signingKey(), i.URL+"/v1/notifications/certs/"+id, "t-1", oldWebhook, at, nil), ReceivedAt: at}
}

func write(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	stranger := newIssuer(t)
	public := &signingKey().PublicKey
	change := func(do func(*x509.Certificate)) []byte {
		leaf := sandboxLeaf()
		do(leaf)
		return i.issue(t, leaf, public)
	}
	good := i.issue(t, sandboxLeaf(), public)
	refusedAs := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for n, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   makegood.Code // "" is proved
	}{
		{"good", write(good), ""},
		{"good with its root", write(append(append([]byte(nil), good...), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.root.Raw})...)), ""},
		{"of live mode", write(change(func(c *x509.Certificate) { c.Subject.CommonName = "messageverificationcerts.paypal.com" })), makegood.BadSignature},
		{"for another name", write(change(func(c *x509.Certificate) { c.Subject.CommonName = "www.paypal.com" })), makegood.BadSignature},
		{"with the name in an alternative only", write(change(func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "x", []string{"messageverificationcerts.sandbox.paypal.com"}
		})), makegood.BadSignature},
		{"over", write(change(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })), makegood.BadSignature},
		{"not begun", write(change(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })), makegood.BadSignature},
		{"of another root", write(stranger.issue(t, sandboxLeaf(), public)), makegood.BadSignature},
		{"of an elliptic curve", write(i.issue(t, sandboxLeaf(), &i.key.PublicKey)), makegood.BadSignature},
		{"with another key", write(i.issue(t, sandboxLeaf(), otherKey())), makegood.BadSignature},
		{"behind a key", write(append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), good...)), makegood.Unavailable},
		{"a chain without end", write([]byte(strings.Repeat(string(good), 9))), makegood.Unavailable},
		{"not PEM", write([]byte("<html>")), makegood.Unavailable},
		{"nothing", write(nil), makegood.Unavailable},
		{"too large", write(append(append([]byte(nil), good...), make([]byte, 1<<16)...)), makegood.BadSignature},
		{"far too large", write(append(append([]byte(nil), good...), make([]byte, 2<<20)...)), makegood.Unavailable},
		{"not there", refusedAs(404), makegood.BadSignature},
		{"forbidden", refusedAs(403), makegood.BadSignature},
		{"too many requests", refusedAs(429), makegood.Unavailable},
		{"broken", refusedAs(500), makegood.Unavailable},
		{"not available", refusedAs(503), makegood.Unavailable},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, makegood.Unavailable},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL, http.StatusFound) }, makegood.BadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{}
			c.nanos.Store(now.UnixNano())
			s := i.source(t, c)
			i.say(tt.answer)
			stranger.say(write(good))
			d := i.delivery(fmt.Sprintf("CERT-%d", n), now)
			_, err := s.Verify(d)
			if (err == nil) != (tt.want == "") || err != nil && !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %q", err, tt.want)
			}
			if tt.want == makegood.Unavailable && errors.Is(err, makegood.BadSignature) {
				t.Errorf("Verify = %v, which is also a bad signature: PayPal would not be answered with 503", err)
			}
		})
	}
	if n := stranger.hits.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times, want never", n)
	}
}

var otherKey = sync.OnceValue(func() any {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &key.PublicKey
})

// A good certificate is asked for once a day, a missing one once a minute, an outage every few seconds.
func TestCertificatesAreKept(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := &clock{}
	c.nanos.Store(now.UnixNano())
	s := i.source(t, c)
	leaf := sandboxLeaf()
	leaf.NotAfter = now.Add(30 * time.Hour)
	good := write(i.issue(t, leaf, &signingKey().PublicKey))
	verify := func(id string, want makegood.Code, hits int32) {
		t.Helper()
		d := i.delivery(id, c.Now())
		for range 3 {
			if _, err := s.Verify(d); (err == nil) != (want == "") || err != nil && !errors.Is(err, want) {
				t.Errorf("Verify with %s after %v = %v, want %q", id, c.Now().Sub(now), err, want)
			}
		}
		if n := i.hits.Swap(0); n != hits {
			t.Errorf("%s was asked for %d times after %v, want %d", id, n, c.Now().Sub(now), hits)
		}
	}
	i.say(good)
	verify("GOOD", "", 1)
	c.Advance(paypal.CertificateLifetime - time.Second)
	verify("GOOD", "", 0)
	c.Advance(time.Second)
	verify("GOOD", "", 1)
	c.Advance(6 * time.Hour) // its last moment: valid, and asked for again because its end is no time to keep it
	verify("GOOD", "", 3)
	c.Advance(time.Second)
	verify("GOOD", makegood.BadSignature, 1)

	i.say(good)
	c.Advance(-30 * time.Hour)
	if _, err := s.Verify(i.delivery("EARLY", now.Add(-2*time.Hour))); !errors.Is(err, makegood.BadSignature) {
		t.Errorf("Verify of a delivery from before its certificate began = %v, want a bad signature", err)
	}
	if _, err := s.Verify(i.delivery("EARLY", now.Add(31*time.Hour))); !errors.Is(err, makegood.BadSignature) {
		t.Errorf("Verify of a delivery from after its certificate ended = %v, want a bad signature", err)
	}
	i.hits.Store(0)
	c.Advance(30 * time.Hour)
	i.say(http.NotFound)
	verify("MISSING", makegood.BadSignature, 1)
	i.say(good)
	c.Advance(59 * time.Second)
	verify("MISSING", makegood.BadSignature, 0)
	c.Advance(-30 * time.Hour)
	i.say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	verify("DOWN", makegood.Unavailable, 1)
	i.say(good)
	c.Advance(4 * time.Second)
	verify("DOWN", makegood.Unavailable, 0)
	c.Advance(time.Second)
	verify("DOWN", "", 1)
}

// Many deliveries at once ask once, and a flood of made-up addresses is cut off without keeping a known one from renewal.
func TestCertificatesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	c := &clock{}
	c.nanos.Store(now.UnixNano())
	s := i.source(t, c)
	good := i.issue(t, sandboxLeaf(), &signingKey().PublicKey)
	i.say(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/GOOD") {
			http.NotFound(w, r)
			return
		}
		time.Sleep(50 * time.Millisecond)
		_, _ = w.Write(good)
	})
	var wg sync.WaitGroup
	for range 32 {
		d := i.delivery("GOOD", now)
		wg.Go(func() {
			if _, err := s.Verify(d); err != nil {
				t.Errorf("Verify: %v", err)
			}
		})
	}
	wg.Wait()
	if n := i.hits.Load(); n != 1 {
		t.Errorf("the certificate was asked for %d times, want once", n)
	}
	c.Advance(paypal.CertificateLifetime) // so that the good one is due for renewal in the midst of the flood
	for n := range paypal.FetchesPerMinuteMax + 50 {
		_, err := s.Verify(i.delivery(fmt.Sprintf("MADE-UP-%d", n), c.Now()))
		if err == nil {
			t.Fatal("a made-up certificate proved something")
		}
		if isOver := n >= paypal.FetchesPerMinuteMax; isOver && !errors.Is(err, makegood.Unavailable) {
			t.Fatalf("Verify with made-up address %d = %v, want unavailable", n, err)
		}
	}
	if n := i.hits.Load(); n > paypal.FetchesPerMinuteMax+1 {
		t.Errorf("strangers made us ask %d times in a minute, want at most %d", n, paypal.FetchesPerMinuteMax)
	}
	if _, err := s.Verify(i.delivery("GOOD", c.Now())); err != nil {
		t.Errorf("Verify of a genuine delivery in a flood = %v", err)
	}
}

var allowed = regexp.MustCompile(`^https://(api|api-m)\.sandbox\.paypal\.com/v1/notifications/certs/[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// FuzzCertificateURL compares with a second reading of the rule, and with what net/url makes of what is allowed.
func FuzzCertificateURL(f *testing.F) {
	for _, address := range append(moreHostileURLs(), hostileURLs...) {
		f.Add(strings.NewReplacer("HOST", "api.sandbox.paypal.com", "EVIL", "evil.example", "OTHER", "api.paypal.com").Replace(address))
	}
	f.Add("https://api-m.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270")
	s, err := paypal.New(paypal.Options{Name: "paypal", ClientID: "c", ClientSecret: secret.New("s"), WebhookIDs: provider.Active(secret.New(oldWebhook))})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, address string) {
		got := s.CertificateAllowed(address)
		if want := allowed.MatchString(address) && !strings.HasSuffix(address, "\n"); got != want {
			t.Errorf("%q is allowed: %v, want %v", address, got, want)
		}
		if !got {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.RawQuery != "" || u.Fragment != "" || u.String() != address ||
			!strings.HasSuffix(u.Host, ".sandbox.paypal.com") {
			t.Errorf("%q is allowed and net/url reads %+v, %v", address, u, err)
		}
	})
}
