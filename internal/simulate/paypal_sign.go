package simulate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/http"
	"time"
)

// paypalCertificate is what deliveries are signed with, and who vouches for it.
type paypalCertificate struct {
	id   string
	key  *rsa.PrivateKey
	root *x509.Certificate
	pem  []byte // the certificate, then its issuer
}

// newPayPalCertificate draws a root and a certificate with the name that the real ones have. It is good for a day before
// and two years after the clock of the options. Keys come from the machine and not from Rand: a signature proves something
// even in a test. A machine that cannot make keys is broken: it panics.
func newPayPalCertificate(o PayPalOptions) paypalCertificate {
	c := paypalCertificate{key: o.SigningKey}
	if c.key == nil {
		c.key = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	rootKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	from, to := o.Now().Add(-24*time.Hour), o.Now().Add(2*365*24*time.Hour)
	rootTemplate := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Simulated root"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER := must(x509.CreateCertificate(rand.Reader, rootTemplate, rootTemplate, &rootKey.PublicKey, rootKey))
	c.root = must(x509.ParseCertificate(rootDER))
	name := "messageverificationcerts.sandbox.paypal.com"
	if o.Live {
		name = "messageverificationcerts.paypal.com"
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name, Organization: []string{"Simulated PayPal"}},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{name}}
	leafDER := must(x509.CreateCertificate(rand.Reader, leaf, c.root, &c.key.PublicKey, rootKey))
	c.pem = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})...)
	sum := sha256.Sum256(leafDER)
	c.id = fmt.Sprintf("CERT-%x-%x-%x", sum[:4], sum[4:8], sum[8:12])
	return c
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("simulate: " + err.Error())
	}
	return v
}

// PayPalHeaders returns the headers of a delivery as PayPal signs it: RSA PKCS #1 v1.5 with SHA-256 over transmission id,
// time, webhook id and the decimal CRC-32 of the body, joined by bars.
func PayPalHeaders(key *rsa.PrivateKey, certificateURL, transmissionID, webhookID string, at time.Time, body []byte) http.Header {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%d", transmissionID, stamp(at), webhookID, crc32.ChecksumIEEE(body)))
	signature := must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))
	h := http.Header{}
	h.Set("PAYPAL-TRANSMISSION-ID", transmissionID)
	h.Set("PAYPAL-TRANSMISSION-TIME", stamp(at))
	h.Set("PAYPAL-TRANSMISSION-SIG", base64.StdEncoding.EncodeToString(signature))
	h.Set("PAYPAL-CERT-URL", certificateURL)
	h.Set("PAYPAL-AUTH-ALGO", "SHA256withRSA")
	h.Set("PAYPAL-AUTH-VERSION", "v2")
	return h
}

// CertificateURL is where the certificate of the deliveries is.
func (p *PayPal) CertificateURL() string {
	return p.options.PublicURL() + "/v1/notifications/certs/" + p.certificate.id
}

// Headers signs any body for a webhook id, as a delivery of a new transmission at a time.
func (p *PayPal) Headers(body []byte, at time.Time, webhookID string) http.Header {
	p.mu.Lock()
	id := newUUID(p.options.Rand)
	p.mu.Unlock()
	return PayPalHeaders(p.certificate.key, p.CertificateURL(), id, webhookID, at, body)
}

func (p *PayPal) serveCertificate(w http.ResponseWriter, r *http.Request) {
	faults := p.currentFaults()
	if status := ask(faults.FailCertificate, r); status != 0 {
		p.misbehave(w, r, faults, status)
		return
	}
	if r.PathValue("id") != p.certificate.id {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	_, _ = w.Write(p.certificate.pem) // a client that has gone away misses its answer
}
