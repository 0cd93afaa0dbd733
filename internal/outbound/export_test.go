package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust makes c accept the certificates of a test's server.
func (c *Client) Trust(roots *x509.CertPool) {
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
}
