package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
)

// ask calls a handler as the whole server does.
func ask(t *testing.T, h api.Handler, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	api.Errors(slog.New(slog.DiscardHandler), h).ServeHTTP(w, r)
	return w
}

// failure is the error of an answer.
type failure struct{ Code, Message, More string }

func failureOf(t *testing.T, w *httptest.ResponseRecorder) failure {
	t.Helper()
	var answer struct{ Error failure }
	decode(t, w, &answer)
	return answer.Error
}

func decode(t *testing.T, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type = %q, want JSON", got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Errorf("answer %q is not JSON: %v", w.Body, err)
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	for _, code := range makegood.Codes() {
		status, ok := api.StatusOf(code)
		if !ok || status < 400 || status > 599 || http.StatusText(status) == "" {
			t.Errorf("code %s has status %d, want one of an error", code, status)
			continue
		}
		w := ask(t, func(http.ResponseWriter, *http.Request) error { return makegood.Errorf(code, "A sentence.") }, "GET", "/", "")
		want := failure{string(code), "A sentence.", "https://github.com/makegood/makegood/blob/main/docs/errors.md#" + string(code)}
		if got := failureOf(t, w); w.Code != status || got != want {
			t.Errorf("an error of code %s = %d %+v, want %d %+v", code, w.Code, got, status, want)
		}
		if got := w.Header().Get("Retry-After"); (got != "") != (status == http.StatusServiceUnavailable) {
			t.Errorf("an error of code %s: Retry-After = %q", code, got)
		}
	}
}

// The cause of an error is for the log alone.
func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.7: refused")
	for _, tt := range []struct {
		name      string
		err       error
		status    int
		code      string
		wantLevel string
	}{
		{"somebody else's", cause, 500, "internal", "ERROR"},
		{"ours with a cause", makegood.Wrap(cause, makegood.Unavailable, "Not now."), 503, "unavailable", "ERROR"},
		{"the caller's", makegood.Wrap(cause, makegood.Invalid, "Not so."), 400, "invalid", "DEBUG"},
		{"of a code that has no status", makegood.Wrap(cause, "brand_new", ""), 500, "internal", "ERROR"},
		{"a bare code", fmt.Errorf("%w: %w", makegood.NotFound, cause), 404, "not_found", "DEBUG"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			w := httptest.NewRecorder()
			api.Errors(logger, func(http.ResponseWriter, *http.Request) error { return tt.err }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if f := failureOf(t, w); w.Code != tt.status || f.Code != tt.code || f.Message == "" || strings.Contains(w.Body.String(), "10.0.0.7") {
				t.Errorf("answer = %d %s, want %d %s and not the cause", w.Code, w.Body, tt.status, tt.code)
			}
			if !strings.Contains(log.String(), "10.0.0.7") || !strings.Contains(log.String(), "level="+tt.wantLevel) || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("log = %q, want the cause once at %s", log.String(), tt.wantLevel)
			}
		})
	}
}

func TestErrorsPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := api.Errors(slog.New(slog.NewTextHandler(&log, nil)), func(http.ResponseWriter, *http.Request) error { panic("broken invariant") })
	server := httptest.NewServer(h)
	defer server.Close()
	for range 2 { // the second shows that the server lives
		response, err := http.Get(server.URL)
		if err != nil {
			t.Fatalf("a handler that panics: %v, want an answer", err)
		}
		defer response.Body.Close()
		var answer struct{ Error failure }
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != 500 || answer.Error.Code != "internal" ||
			strings.Contains(answer.Error.Message, "invariant") {
			t.Errorf("a handler that panics = %d %+v, %v, want 500, our JSON, and not the cause", response.StatusCode, answer, err)
		}
	}
	if !strings.Contains(log.String(), "broken invariant") || !strings.Contains(log.String(), "api_test.go") {
		t.Errorf("log = %q, want the cause and where it was", log.String())
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	atCap := `{"name":"` + strings.Repeat("x", makegood.RequestBytesMax-11) + `"}`
	for _, tt := range []struct {
		name, body string
		want       error
	}{
		{"all well", `{"name":"a"}`, nil},
		{"blanks after it", "{\"name\":\"a\"} \r\n", nil},
		{"empty object", `{}`, nil},
		{"at the cap", atCap, nil},
		{"above the cap", atCap[:len(atCap)-2] + `x"}`, makegood.TooLarge},
		{"blanks above the cap", `{}` + strings.Repeat(" ", makegood.RequestBytesMax), makegood.TooLarge},
		{"unknown field", `{"name":"a","quanttity":2}`, makegood.Invalid},
		{"wrong type", `{"name":7}`, makegood.Invalid},
		{"nothing", ``, makegood.Invalid},
		{"cut short", `{"name":"a"`, makegood.Invalid},
		{"not JSON", `name=a`, makegood.Invalid},
		{"another object after it", `{"name":"a"}{"name":"b"}`, makegood.Invalid},
		{"a bracket after it", `{"name":"a"}}`, makegood.Invalid},
		{"another bracket after it", `{"name":"a"}]`, makegood.Invalid},
		{"an array", `[{"name":"a"}]`, makegood.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v struct {
				Name string `json:"name"`
			}
			err := api.ReadJSON(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(tt.body)), &v)
			if !errors.Is(err, tt.want) {
				t.Errorf("readJSON of %.40q = %v, want %v", tt.body, err, tt.want)
			}
		})
	}
}
