package simulate

import (
	"net/http"
	"net/url"
	"strings"
)

// showApprovePage is the page to which an order's link leads.
func (p *PayPal) showApprovePage(w http.ResponseWriter, r *http.Request) {
	o, ok := p.Order(r.URL.Query().Get("token"))
	if !ok {
		showPage(w, http.StatusNotFound, "stripe_closed", payView{Heading: "Not found", Problem: "There is no such order."})
		return
	}
	p.showOrderPage(w, o, http.StatusOK, payView{})
}

func (p *PayPal) showOrderPage(w http.ResponseWriter, o PayPalOrder, status int, view payView) {
	view.ID, view.Total, view.Heading, view.CancelURL = o.ID, moneyOf(o.Amount, o.Currency).Value+" "+o.Currency, "Simulated shop", o.CancelURL
	if o.Status != "CREATED" && o.Status != "PAYER_ACTION_REQUIRED" {
		view.Heading, view.Problem, view.CancelURL = "Already approved", "This order is "+strings.ToLower(o.Status)+". Nothing more is due here.", o.returnURL()
		showPage(w, http.StatusOK, "stripe_closed", view)
		return
	}
	showPage(w, status, "paypal_pay", view)
}

// returnURL is where the buyer goes back: PayPal appends the order and itself to the shop's address.
func (o PayPalOrder) returnURL() string {
	u, err := url.Parse(o.ReturnURL)
	if err != nil || o.ReturnURL == "" {
		return ""
	}
	added := "token=" + url.QueryEscape(o.ID) + "&PayerID=SIMULATEDBUYR"
	if u.RawQuery != "" {
		added = u.RawQuery + "&" + added
	}
	u.RawQuery = added
	return u.String()
}

// approveOnPage approves and sends the buyer back to the shop, which captures. Twice, as a double click does, is once.
func (p *PayPal) approveOnPage(w http.ResponseWriter, r *http.Request) {
	o, ok := p.Order(r.PostFormValue("token"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	buyer := Customer{Email: strings.TrimSpace(r.PostFormValue("email")), Name: strings.TrimSpace(r.PostFormValue("name")), Country: "US"}
	if !isEmail(buyer.Email) {
		p.showOrderPage(w, o, http.StatusUnprocessableEntity, payView{Problem: "Enter an e-mail address like ann@example.com.", Email: buyer.Email, Name: buyer.Name})
		return
	}
	var options []PayPalOption
	if r.PostFormValue("method") == "pending" {
		options = append(options, Pending())
	}
	_ = p.Approve(o.ID, buyer, options...) // an order that is no longer open sends the buyer back all the same
	http.Redirect(w, r, o.returnURL(), http.StatusSeeOther)
}
