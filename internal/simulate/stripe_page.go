package simulate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// routePages adds the hosted payment page and the overview. What changes the world refuses requests from other sites.
func (s *Stripe) routePages(mux *http.ServeMux) {
	sameSite := http.NewCrossOriginProtection()
	mux.HandleFunc("GET /{$}", s.showIndex)
	mux.HandleFunc("GET /pay/{id}", s.showPayPage)
	mux.Handle("POST /pay/{id}", sameSite.Handler(http.HandlerFunc(s.payOnPage)))
	mux.Handle("POST /world/sessions/{id}/{act}", sameSite.Handler(http.HandlerFunc(s.actOnSession)))
	mux.Handle("POST /world/events/{id}/deliver", sameSite.Handler(http.HandlerFunc(s.deliverFromPage)))
}

// payView is what the hosted page shows.
type payView struct {
	ID, Heading, Total, Problem string
	Email, Name, CancelURL      string
	Lines                       []payLine
}

type payLine struct {
	Name, Amount string
	Quantity     int64
}

func viewToPay(session Session) payView {
	view := payView{
		ID: session.ID, Heading: "Simulated shop", Total: money(session.AmountTotal, session.Currency),
		Email: session.CustomerEmail, CancelURL: session.CancelURL,
	}
	for _, item := range session.LineItems {
		view.Lines = append(view.Lines, payLine{item.Price.Product, money(item.Amount(), session.Currency), item.Quantity})
	}
	return view
}

func (s *Stripe) showPayPage(w http.ResponseWriter, r *http.Request) {
	session, ok := s.Session(r.PathValue("id"))
	if !ok {
		showPage(w, http.StatusNotFound, "stripe_closed", payView{Heading: "Not found", Problem: "There is no such payment page."})
		return
	}
	view := viewToPay(session)
	switch session.Status {
	case "open":
		showPage(w, http.StatusOK, "stripe_pay", view)
	case "complete":
		view.Heading, view.Problem, view.CancelURL = "Already paid", "This payment page was used. Nothing more is due.", session.successURL()
		showPage(w, http.StatusOK, "stripe_closed", view)
	default:
		view.Heading, view.Problem = "Expired", "This payment page has expired. Start again at the shop."
		showPage(w, http.StatusGone, "stripe_closed", view)
	}
}

func (session *Session) successURL() string {
	return strings.ReplaceAll(session.SuccessURL, "{CHECKOUT_SESSION_ID}", session.ID)
}

// payOnPage pays and sends the customer back to the shop. Paying twice, as a double click does, pays once and sends the
// customer back both times.
func (s *Stripe) payOnPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c := Customer{Email: strings.TrimSpace(r.PostFormValue("email")), Name: strings.TrimSpace(r.PostFormValue("name")), Country: "US"}
	method := r.PostFormValue("method")
	session, ok := s.Session(id)
	if !ok || session.Status == "expired" {
		s.showPayPage(w, r)
		return
	}
	view := viewToPay(session)
	view.Email, view.Name = c.Email, c.Name
	switch {
	case session.Status == "open" && method == "declined":
		_ = s.Pay(id, c, Declined()) // a session that is no longer open shows itself on the next click
		view.Problem = "Your card was declined. Try another way to pay."
		showPage(w, http.StatusPaymentRequired, "stripe_pay", view)
		return
	case session.Status == "open" && !isEmail(c.Email):
		view.Problem = "Enter an e-mail address like ann@example.com."
		showPage(w, http.StatusUnprocessableEntity, "stripe_pay", view)
		return
	}
	if err := s.Pay(id, c, paymentBy(method)...); err != nil && !errors.Is(err, ErrState) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.waitForShop(r.Context())
	http.Redirect(w, r, session.successURL(), http.StatusSeeOther)
}

func paymentBy(method string) []PayOption {
	if method == "delayed" {
		return []PayOption{Delayed()}
	}
	return nil
}

// waitForShop gives the shop a moment to answer before its customer comes back, as hosted Checkout does.
func (s *Stripe) waitForShop(ctx context.Context) {
	if s.options.RedirectWait <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.RedirectWait)
	defer cancel()
	_ = s.WaitIdle(ctx) // out of patience: the customer goes back all the same
}

// indexView is what the overview shows.
type indexView struct {
	Account   string
	Endpoints []endpoint
	Sessions  []sessionRow
	Events    []Event
}

type sessionRow struct {
	Session
	Tail, Email, Amount, PayURL string
	Actions                     []sessionAct
}

type sessionAct struct{ Name, Label string }

func (s *Stripe) showIndex(w http.ResponseWriter, _ *http.Request) {
	showPage(w, http.StatusOK, "stripe_index", s.index())
}

func (s *Stripe) index() indexView {
	s.begin()
	defer s.mu.Unlock()
	view := indexView{Account: s.options.Account, Events: s.newestEvents(pageRowsMax)}
	for _, e := range s.endpoints.items {
		if !e.isDeleted {
			view.Endpoints = append(view.Endpoints, *e)
		}
	}
	newest, _ := s.sessions.page(cursor{limit: pageRowsMax}, func(*Session) bool { return true })
	for _, session := range newest {
		view.Sessions = append(view.Sessions, s.row(session))
	}
	return view
}

func (s *Stripe) row(session *Session) sessionRow {
	row := sessionRow{
		Session: session.clone(), Tail: session.ID[len(session.ID)-8:], Email: session.CustomerEmail,
		Amount: money(session.AmountTotal, session.Currency), PayURL: session.URL,
	}
	if session.Customer != nil {
		row.Email = session.Customer.Email
	}
	pi, isPaid := s.intents.get(session.intentID)
	switch {
	case session.Status == "open":
		row.Actions = []sessionAct{{"expire", "Expire"}}
	case !isPaid:
	case pi.Status == "processing":
		row.Actions = []sessionAct{{"settle", "Money arrives"}, {"fail", "Money fails"}}
	case pi.Status == "succeeded":
		row.Actions = actsOnCharge(pi.charge)
	}
	if sub, ok := s.subscriptions.get(session.Subscription); ok && sub.isRunning() {
		row.Actions = append(row.Actions, sessionAct{"renew", "Renew"}, sessionAct{"failrenewal", "Renewal fails"},
			sessionAct{"cancel", "Cancel"}, sessionAct{"cancellater", "Cancel at period end"})
	}
	return row
}

func actsOnCharge(ch *charge) []sessionAct {
	if ch.dispute != nil && ch.dispute.isOpen() {
		return []sessionAct{{"win", "Dispute won"}, {"lose", "Dispute lost"}}
	}
	if ch.dispute != nil && !ch.dispute.isRefundable() {
		return nil
	}
	var acts []sessionAct
	if ch.AmountRefunded < ch.Amount {
		acts = append(acts, sessionAct{"refund", "Refund"}, sessionAct{"dispute", "Dispute"})
	}
	if ch.AmountRefunded > 0 {
		acts = append(acts, sessionAct{"failrefund", "Refund fails"})
	}
	return acts
}

// actOnSession is a button of the overview.
func (s *Stripe) actOnSession(w http.ResponseWriter, r *http.Request) {
	session, ok := s.Session(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	if err := s.act(session, r.PathValue("act")); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Stripe) act(session Session, name string) error {
	var err error
	switch name {
	case "expire":
		return s.Expire(session.ID)
	case "settle", "fail":
		return s.SettleDelayed(session.ID, name == "settle")
	case "refund":
		_, err = s.Refund(session.intentID, 0)
	case "failrefund":
		return s.FailRefund(s.latestRefund(session.intentID))
	case "dispute":
		_, err = s.Dispute(session.intentID)
	case "renew":
		_, err = s.Renew(session.Subscription)
	case "failrenewal":
		_, err = s.FailRenewal(session.Subscription)
	case "cancel", "cancellater":
		return s.CancelSubscription(session.Subscription, name == "cancellater")
	case "win", "lose":
		return s.CloseDispute(s.latestDispute(session.intentID), name == "win")
	default:
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return err
}

// latestRefund is the id of the newest refund of an intent that has not failed, empty if there is none.
func (s *Stripe) latestRefund(paymentIntent string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, _ := s.refunds.page(cursor{limit: 1}, func(re *refund) bool {
		return re.charge.intent.ID == paymentIntent && re.Status == "succeeded"
	})
	if len(found) == 0 {
		return ""
	}
	return found[0].ID
}

func (s *Stripe) latestDispute(paymentIntent string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pi, ok := s.intents.get(paymentIntent); ok && pi.charge != nil && pi.charge.dispute != nil {
		return pi.charge.dispute.ID
	}
	return ""
}

func (s *Stripe) deliverFromPage(w http.ResponseWriter, r *http.Request) {
	s.Deliver(r.PathValue("id"))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// money is an amount for people. Stripe's zero-decimal and three-decimal currencies are those of its documentation.
func money(amount int64, currency string) string {
	unit := strings.ToUpper(currency)
	switch currency {
	case "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf":
		return fmt.Sprintf("%d %s", amount, unit)
	case "bhd", "jod", "kwd", "omr", "tnd":
		return fmt.Sprintf("%d.%03d %s", amount/1000, amount%1000, unit)
	case "":
		return "nothing"
	default:
		return fmt.Sprintf("%d.%02d %s", amount/100, amount%100, unit)
	}
}
