package watch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/watch"
)

// A server serves those who waited when its watcher asks, and nobody else; the watcher believes nobody else's answer.
func TestServeIsProvedOnBothSides(t *testing.T) {
	t.Parallel()
	ours, others := secret.New("the secret of server and watcher"), secret.New("the secret of somebody else")
	now := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	ask := watch.ServeAsk{Since: now.Add(-time.Minute), Ended: now, Attempt: "att1", At: now}
	for _, tt := range []struct {
		name     string
		asks     secret.Value
		answers  secret.Value
		skew     time.Duration
		server   func(w http.ResponseWriter, body []byte, signature string) bool
		want     makegood.Code
		isServed bool
	}{
		{name: "both know the secret", asks: ours, answers: ours, isServed: true},
		{name: "a stranger asks", asks: others, answers: ours, want: makegood.Unavailable},
		{name: "a stranger answers", asks: ours, answers: ours, isServed: true, want: makegood.Unauthorized,
			server: func(w http.ResponseWriter, body []byte, signature string) bool {
				w.Header().Set(watch.ServeHeader, signature)
				w.Write(body)
				return true
			}},
		{name: "an old question", asks: ours, answers: ours, skew: 2 * time.Minute, want: makegood.Unavailable},
		{name: "a question from the future", asks: ours, answers: ours, skew: -2 * time.Minute, want: makegood.Unavailable},
		{name: "an older server", asks: ours, answers: ours, isServed: true, want: makegood.NotFound,
			server: func(w http.ResponseWriter, _ []byte, _ string) bool { w.WriteHeader(http.StatusNotFound); return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			served := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				answer, signature, err := watch.AnswerServe(r.Context(), tt.answers, body, r.Header.Get(watch.ServeHeader), now.Add(tt.skew),
					func(_ context.Context, got watch.ServeAsk) (watch.ServeAnswer, error) {
						served++
						if got.Nonce == "" || !got.Since.Equal(ask.Since) || !got.Ended.Equal(ask.Ended) || got.Attempt != ask.Attempt {
							t.Errorf("asked %+v, want %+v", got, ask)
						}
						return watch.ServeAnswer{Waited: 3, Waiting: 1, Longest: time.Minute, Pulled: 2, Again: 4, Note: "n"}, nil
					})
				if tt.server != nil && tt.server(w, answer, "forged") {
					return
				}
				if err != nil {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set(watch.ServeHeader, signature)
				w.Write(answer)
			}))
			defer s.Close()
			got, err := watch.AskServe(t.Context(), outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true}), s.URL, tt.asks, ask)
			if tt.want != "" {
				if !errors.Is(err, tt.want) {
					t.Errorf("AskServe = %v, want %s", err, tt.want)
				}
			} else {
				got.Nonce = ""
				want := watch.ServeAnswer{Waited: 3, Waiting: 1, Longest: time.Minute, Pulled: 2, Again: 4, Note: "n"}
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("AskServe = %v (-want +got):\n%s", err, diff)
				}
			}
			if isServed := served > 0; isServed != tt.isServed {
				t.Errorf("the server served: %v, want %v", isServed, tt.isServed)
			}
		})
	}
}
