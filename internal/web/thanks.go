package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
)

// Thanks is the page to which a customer comes back from paying. It makes the order good through the same function as
// the webhook and shows the keys at once; while the money is on its way it asks again by itself.
type Thanks struct {
	Pages *Pages
	// Purchase makes good what a session paid for, see api.Shop.Purchase.
	Purchase func(ctx context.Context, source, sessionID string) (api.Purchase, error)
}

// Show answers GET /thanks?session_id=.
func (t *Thanks) Show(w http.ResponseWriter, r *http.Request) error {
	source, sessionID := api.SessionOf(r)
	purchase, err := t.Purchase(r.Context(), source, sessionID)
	switch {
	case err == nil:
		t.Pages.render(w, http.StatusOK, "thanks.html", thanksPage{Purchase: purchase})
	case errors.Is(err, makegood.NotPaid):
		w.Header().Set("Refresh", "5")
		t.Pages.render(w, http.StatusOK, "thanks.html", thanksPage{Waiting: true})
	case errors.Is(err, makegood.NotFound), errors.Is(err, makegood.Invalid):
		t.Pages.render(w, http.StatusNotFound, "thanks.html", thanksPage{Unknown: true})
	default:
		t.Pages.log.Warn("purchase cannot be shown yet", "err", err)
		w.Header().Set("Refresh", "10")
		t.Pages.render(w, http.StatusServiceUnavailable, "thanks.html", thanksPage{Trouble: true})
	}
	return nil
}

type thanksPage struct {
	Purchase api.Purchase
	Waiting  bool
	Unknown  bool
	Trouble  bool
}
