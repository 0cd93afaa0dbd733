package api

import (
	"net/http"
	"net/netip"

	"github.com/makegood/makegood"
)

// ClientAddress is whom the limiter takes a request to come from.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return clientAddress(r, trusted)
}

// StatusOf is the HTTP status of a code.
func StatusOf(code makegood.Code) (status int, ok bool) {
	status, ok = statuses[code]
	return status, ok
}

// ClientsMax is how many addresses are remembered.
const ClientsMax = clientsMax

// ReadJSON reads a request.
var ReadJSON = readJSON
