package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// TestServingOutlivesTheQuestion: a watcher that gives up on the answer breaks nothing off.
func TestServingOutlivesTheQuestion(t *testing.T) {
	t.Parallel()
	key := secret.New("the secret of server and watcher")
	gone, ended := make(chan bool), make(chan error, 1)
	i := &api.Incidents{Hearing: &watch.Hearing{Secret: key, Now: time.Now}, Refused: telemetry.NewMetrics().Counter("refused_total", "Of the test.", "door"),
		Serve: func(ctx context.Context, _ watch.ServeAsk) (watch.ServeAnswer, error) {
			<-gone
			if _, has := ctx.Deadline(); !has {
				t.Error("what was begun has no limit")
			}
			ended <- ctx.Err()
			return watch.ServeAnswer{}, ctx.Err()
		}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go func() { <-r.Context().Done(); close(gone) }()
		if err := i.ServeWaiting(w, r); err != nil {
			api.WriteError(w, err)
		}
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	way := outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true})
	if _, err := watch.AskServe(ctx, way, server.URL, key, watch.ServeAsk{At: time.Now()}); err == nil {
		t.Error("there was an answer")
	}
	if err := <-ended; err != nil {
		t.Errorf("it was broken off: %v", err)
	}
}
