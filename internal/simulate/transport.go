package simulate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// Transport calls a handler directly, without a network: for tests in a synctest bubble, where a real connection would
// hold the clock. The handler runs in a goroutine of its own, which ends when the handler returns; a request whose context ends
// first gets the context's error, as a client that gives up does.
type Transport struct{ Handler http.Handler }

var _ http.RoundTripper = Transport{}

// RoundTrip serves one request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	served, err := inbound(r)
	if err != nil {
		return nil, err
	}
	answered := make(chan *recorder, 1) // room for the answer of a handler that nobody waits for any more
	go func() {
		rec := &recorder{header: http.Header{}}
		defer func() {
			if cause := recover(); cause != nil && cause != http.ErrAbortHandler {
				panic(cause)
			} else if cause != nil {
				rec = nil
			}
			answered <- rec
		}()
		t.Handler.ServeHTTP(rec, served)
	}()
	select {
	case rec := <-answered:
		if rec == nil {
			return nil, errNoAnswer
		}
		return rec.response(r), nil
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// inbound is the request as a server sees it.
func inbound(r *http.Request) (*http.Request, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:1"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.Body = http.NoBody
	if r.Body == nil {
		return in, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	in.Body = io.NopCloser(bytes.NewReader(body))
	return in, r.Body.Close()
}

// recorder keeps what a handler writes.
type recorder struct {
	header http.Header
	sent   http.Header
	status int
	body   bytes.Buffer
}

func (rec *recorder) Header() http.Header { return rec.header }

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status, rec.sent = status, rec.header.Clone()
	}
}

func (rec *recorder) Write(b []byte) (int, error) {
	rec.WriteHeader(http.StatusOK)
	return rec.body.Write(b)
}

func (rec *recorder) response(r *http.Request) *http.Response {
	rec.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(rec.status), StatusCode: rec.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.sent, Body: io.NopCloser(&rec.body), ContentLength: int64(rec.body.Len()), Request: r,
	}
}

var errNoAnswer = errors.New("simulate: the connection was closed without an answer")
