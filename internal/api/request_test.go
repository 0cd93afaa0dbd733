package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/telemetry"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`^req[0-9a-hjkmnp-tv-z]{20}$`)
	for _, tt := range []struct {
		name, given string
		taken       bool
	}{
		{"none", "", false},
		{"well formed", "3f2b-AZ_09.x", true},
		{"longest", strings.Repeat("x", 64), true},
		{"too long", strings.Repeat("x", 65), false},
		{"blank", "a b", false},
		{"line break", "a\nlevel=ERROR", false},
		{"address", "ann@example.com", false},
		{"other alphabet", "ä", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			var inside string
			h := func(_ http.ResponseWriter, r *http.Request) error {
				inside = api.RequestID(r.Context())
				return makegood.Errorf(makegood.Unavailable, "Not now.")
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header[api.RequestIDHeader] = []string{tt.given}
			w := httptest.NewRecorder()
			api.Errors(logger, func(w http.ResponseWriter, r *http.Request) error { // one within another keeps the id
				api.Errors(logger, h).ServeHTTP(w, r)
				return nil
			}).ServeHTTP(w, r)
			if (inside == tt.given) != tt.taken || !tt.taken && !made.MatchString(inside) {
				t.Errorf("id for the request's %q = %q, taken should be %v", tt.given, inside, tt.taken)
			}
			var answer struct{ Error struct{ Request string } }
			decode(t, w, &answer)
			if got := w.Header().Get("X-Request-Id"); got != inside || answer.Error.Request != inside {
				t.Errorf("header = %q, JSON = %q, want %q in both", got, answer.Error.Request, inside)
			}
			if !strings.Contains(log.String(), "request="+inside) {
				t.Errorf("log = %q, want the id %q", log.String(), inside)
			}
		})
	}
	if got := api.RequestID(t.Context()); got != "" {
		t.Errorf("RequestID outside of a request = %q", got)
	}
}

// An answer that is no error has the id too.
func TestRequestIDOfAGoodAnswer(t *testing.T) {
	t.Parallel()
	w := ask(t, func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(204); return nil }, "GET", "/", "")
	if w.Header().Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
}

// A panic in a handler is one report, with the request's id, over real HTTP on both sides.
func TestPanicIsReportedOnce(t *testing.T) {
	t.Parallel()
	sentry := simulate.NewSentry(simulate.SentryOptions{})
	tracker := httptest.NewServer(sentry)
	defer tracker.Close()
	reporter, err := telemetry.NewReporter(telemetry.ReporterOptions{
		DSN: secret.New(sentry.DSN(tracker.URL)), Environment: "staging", Release: "makegood@1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(reporter.Handler(slog.DiscardHandler)).With("component", "api")
	mux := http.NewServeMux()
	mux.Handle("POST /api/orders/{id}", api.Errors(log, func(http.ResponseWriter, *http.Request) error {
		panic("no mailbox for ann@example.com with sk_live_Zq7Tn3Vb9Kx2Lm5P and GD-ABCD-EF23-WXYZ")
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/api/orders/ord_secretpath?token=secretquery", strings.NewReader("secretbody"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Request-Id", "seen-by-the-customer")
	request.Header.Set("Cookie", "session=secretcookie")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if err := reporter.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	reports := sentry.Reports()
	if response.StatusCode != 500 || len(reports) != 1 {
		t.Fatalf("answer = %d and %d reports, want 500 and 1", response.StatusCode, len(reports))
	}
	got := reports[0]
	if got.Message != "request panicked" || got.Release != "makegood@1.2.3" || got.Environment != "staging" || got.Server != "" ||
		got.Tags["request"] != "seen-by-the-customer" || got.Tags["route"] != "POST /api/orders/{id}" || got.Tags["component"] != "api" {
		t.Errorf("report = %+v", got)
	}
	frames := got.Exception[0].Stacktrace.Frames
	if len(frames) == 0 || !strings.Contains(frames[len(frames)-1].Function, "TestPanicIsReportedOnce") {
		t.Errorf("frames = %+v, want the handler last", frames)
	}
	for _, envelope := range sentry.Envelopes() {
		for _, hidden := range []string{"ann@", "Zq7Tn3", "WXYZ", "secretpath", "secretquery", "secretbody", "secretcookie", server.URL} {
			if bytes.Contains(envelope, []byte(hidden)) {
				t.Errorf("%q left: %s", hidden, envelope)
			}
		}
	}
}
