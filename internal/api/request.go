package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/makegood/makegood"
)

// RequestIDHeader carries the id of a request, in and out.
const RequestIDHeader = "X-Request-Id"

const (
	// requestIDMax is the longest id of a request, in bytes: a UUID has 36, the ids of the known proxies fewer than 64.
	requestIDMax = 64
	// requestPrefix begins the ids that are made here.
	requestPrefix = "req"
)

// requestIDKey is under which key a context carries the id of its request; it carries nothing else of ours.
type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "" outside of one. The same id is in the answer's
// X-Request-Id, in the log, in the JSON of an error and in error reports, so that what a customer sees can be found.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identified gives a request its id: the one it already has, or that its sender gave it, if it is well formed, or a new
// one. The id is a name for people who search and nothing else: anybody may choose it, nothing is looked up by it.
func identified(w http.ResponseWriter, r *http.Request) *http.Request {
	id := RequestID(r.Context())
	if id == "" {
		if id = r.Header.Get(RequestIDHeader); !isRequestID(id) {
			id = makegood.NewID(requestPrefix, time.Now(), rand.Reader)
		}
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	}
	w.Header().Set(RequestIDHeader, id)
	return r
}

// isRequestID: at most 64 letters, digits, dots, underscores and hyphens, so that it can stand in a log line and a header
// as it is.
func isRequestID(s string) bool {
	if s == "" || len(s) > requestIDMax {
		return false
	}
	for _, b := range []byte(s) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '.', b == '_', b == '-':
		default:
			return false
		}
	}
	return true
}
