// Package api answers machines: JSON in, JSON out, every error with a stable code, a sentence and a link.
package api

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/makegood/makegood"
)

// Handler answers a request or returns why it could not. It writes nothing before it is sure.
type Handler func(w http.ResponseWriter, r *http.Request) error

// statuses maps codes to HTTP. A code that is missing here is a broken build, see TestEveryCodeHasAStatus.
var statuses = map[makegood.Code]int{
	makegood.Invalid:        http.StatusBadRequest,
	makegood.BadSignature:   http.StatusBadRequest,
	makegood.Unauthorized:   http.StatusUnauthorized,
	makegood.NotPaid:        http.StatusPaymentRequired,
	makegood.Forbidden:      http.StatusForbidden,
	makegood.NotFound:       http.StatusNotFound,
	makegood.MethodUnknown:  http.StatusMethodNotAllowed,
	makegood.Conflict:       http.StatusConflict,
	makegood.TooLarge:       http.StatusRequestEntityTooLarge,
	makegood.UnknownProduct: http.StatusUnprocessableEntity,
	makegood.RateLimited:    http.StatusTooManyRequests,
	makegood.Internal:       http.StatusInternalServerError,
	makegood.NotFulfilled:   http.StatusInternalServerError,
	makegood.ProviderFailed: http.StatusBadGateway,
	makegood.Unavailable:    http.StatusServiceUnavailable,
}

// retrySeconds is what a caller is asked to wait after 503; a provider repeats by its own schedule anyway.
const retrySeconds = 5

// Errors turns a Handler into an http.Handler. The cause of an error goes to the log, once; the caller gets its code, its
// sentence and where to read more. A panic is an internal error: it stops the request, not the server. Each request has
// an id, see RequestID, which the log, the answer's X-Request-Id and the JSON of an error carry.
func Errors(log *slog.Logger, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = identified(w, r)
		id := RequestID(r.Context())
		defer func() {
			if p := recover(); p != nil {
				log.Error("request panicked", "request", id, "route", r.Pattern, "err", p, "stack", string(debug.Stack()))
				WriteError(w, makegood.Errorf(makegood.Internal, "Something went wrong on our side; it has been recorded."))
			}
		}()
		err := h(w, r)
		if err == nil {
			return
		}
		if _, status := statusOf(err); status >= 500 {
			log.Error("request failed", "request", id, "route", r.Pattern, "status", status, "err", err)
		} else {
			log.Debug("request refused", "request", id, "route", r.Pattern, "status", status, "err", err)
		}
		WriteError(w, err)
	})
}

// statusOf returns the code of an error and what it is answered with.
func statusOf(err error) (makegood.Code, int) {
	code := makegood.CodeOf(err)
	if status, ok := statuses[code]; ok {
		return code, status
	}
	return makegood.Internal, http.StatusInternalServerError
}

// WriteError answers with the error as JSON, and with the id of the request if the header of the answer has one.
func WriteError(w http.ResponseWriter, err error) {
	code, status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
	}
	var body struct {
		Error struct {
			Code    makegood.Code `json:"code"`
			Message string        `json:"message"`
			More    string        `json:"more"`
			Request string        `json:"request,omitempty"`
		} `json:"error"`
	}
	body.Error.Code = code
	body.Error.Message = makegood.MessageOf(err)
	body.Error.More = "https://github.com/makegood/makegood/blob/main/docs/errors.md#" + string(code)
	body.Error.Request = w.Header().Get(RequestIDHeader)
	writeJSON(w, status, body)
}

// writeJSON answers with a value that always encodes. A caller who hangs up in the middle is no error of ours.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// Answer answers with a value as JSON that no cache keeps.
func Answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, v)
	return nil
}

// readJSON reads a bounded body into v, strictly: an unknown field is a typing mistake that would otherwise be obeyed in
// silence.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, makegood.RequestBytesMax))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		err = atEnd(d)
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return makegood.Errorf(makegood.TooLarge, "A request may have at most %d bytes.", makegood.RequestBytesMax)
	}
	if err != nil { // whose text quotes the body, and bodies are not logged
		return makegood.Errorf(makegood.Invalid, "The body is not the JSON that this address takes; see the documentation.")
	}
	return nil
}

// atEnd reports what stands after the value. Decoder.More would let a closing bracket pass.
func atEnd(d *json.Decoder) error {
	_, err := d.Token()
	if err == nil {
		return errors.New("the body has something after its JSON")
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// private marks an answer that carries a key or belongs to one customer: no cache keeps it and no link carries its address.
func private(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
}
