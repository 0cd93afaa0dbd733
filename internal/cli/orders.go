package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type ordersCommands struct {
	List     ordersListCommand     `cmd:"" help:"List orders, newest first."`
	Show     ordersShowCommand     `cmd:"" help:"Show an order with its time line from payment to goods."`
	Find     ordersFindCommand     `cmd:"" help:"Find the purchase of a customer, here and at the providers."`
	MakeGood ordersMakeGoodCommand `cmd:"" name:"make-good" help:"Make a paid order good: ask the provider, settle, run again what was given up."`
}

type ordersListCommand struct {
	Payment     string `help:"Only orders in this payment state: ${enum}." enum:"any, pending, paid, partially_refunded, refunded, disputed, failed, expired" default:"any"`
	Fulfillment string `help:"Only orders in this fulfilment state: ${enum}." enum:"any, unfulfilled, in_progress, fulfilled, stuck, revoked" default:"any"`
	Synthetic   bool   `help:"Also the orders of synthetic checkouts, which a watcher made and nobody buys."`
	listing
	looking
}

// orderRow is an order in a listing.
type orderRow struct {
	ID          string                    `json:"id"`
	Source      string                    `json:"source"`
	Live        bool                      `json:"live"`
	SessionID   string                    `json:"session_id"`
	PaymentID   string                    `json:"payment_id,omitempty"`
	Customer    customerRow               `json:"customer"`
	Total       makegood.Money            `json:"total"`
	Payment     makegood.PaymentState     `json:"payment"`
	Fulfillment makegood.FulfillmentState `json:"fulfillment"`
	Reason      string                    `json:"reason,omitempty"`
	Synthetic   bool                      `json:"synthetic,omitempty"`
	CreatedAt   time.Time                 `json:"created_at"`
	PaidAt      time.Time                 `json:"paid_at,omitzero"`
	FulfilledAt time.Time                 `json:"fulfilled_at,omitzero"`
}

type customerRow struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

func rowOf(o makegood.Order) orderRow {
	return orderRow{o.ID, o.Key.Source, o.Key.Live, o.Key.SessionID, o.PaymentID, customerRow(o.Customer), o.Total, o.Payment, o.Fulfillment,
		o.Reason, o.Synthetic, o.CreatedAt, o.PaidAt, o.FulfilledAt}
}

// Run lists orders.
func (c ordersListCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		orders, err := db.Orders(s.ctx, store.OrderFilter{Payment: makegood.PaymentState(filterOf(c.Payment)),
			Fulfillment: makegood.FulfillmentState(filterOf(c.Fulfillment)), Synthetic: c.Synthetic, Limit: c.Limit})
		if err != nil {
			return err
		}
		if len(orders) == 0 && !c.JSON {
			fmt.Fprintln(s.out, c.none())
			return nil
		}
		if err := s.printOrders(orders, c.JSON); err != nil || c.JSON {
			return err
		}
		return s.cut(len(orders), c.Limit)
	})
}

func (c ordersListCommand) none() string {
	if c.Payment == anyState && c.Fulfillment == anyState {
		return "No orders yet. They appear here as soon as the provider tells of a payment."
	}
	return "No such orders."
}

func (s *surroundings) printOrders(orders []makegood.Order, asJSON bool) error {
	if asJSON {
		rows := make([]orderRow, len(orders))
		for i, o := range orders {
			rows[i] = rowOf(o)
		}
		return s.printJSON(rows)
	}
	w := table(s.out)
	fmt.Fprintln(w, "CREATED (UTC)\tORDER\tCUSTOMER\tTOTAL\tPAYMENT\tFULFILMENT\tTOOK")
	stuck := ""
	for _, o := range orders {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(o.CreatedAt), o.ID, or(buyer(o), "-"), total(o.Total), o.Payment, withReason(o), or(toGoods(o), "-"))
		if stuck == "" && o.Fulfillment == makegood.Stuck {
			stuck = o.ID
		}
	}
	if err := w.Flush(); err != nil || stuck == "" {
		return err
	}
	_, err := fmt.Fprintf(s.out, "What is stuck needs a person. See why: makegood orders show %s\n", stuck)
	return err
}

// buyer is who bought, for a listing.
func buyer(o makegood.Order) string {
	if o.Synthetic {
		return "(synthetic)"
	}
	return o.Customer.Email
}

func withReason(o makegood.Order) string {
	if o.Reason == "" {
		return string(o.Fulfillment)
	}
	return string(o.Fulfillment) + " (" + o.Reason + ")"
}

// toGoods is the number that the customer feels, or "".
func toGoods(o makegood.Order) string {
	if o.PaidAt.IsZero() || o.FulfilledAt.IsZero() {
		return ""
	}
	return short(o.FulfilledAt.Sub(o.PaidAt))
}

type ordersShowCommand struct {
	Quoted string `arg:"" name:"order" help:"What somebody quotes: an order id, checkout session, payment id, licence key in any spelling, or e-mail address."`
	looking
}

// Run shows the one order that was meant, or lists those that could be.
func (c ordersShowCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		found, err := db.FindOrders(s.ctx, c.Quoted)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
			return makegood.Errorf(makegood.NotFound, "No order has the id, session, payment, key or address %s. "+
				"If it was paid a moment ago, the provider may not have told yet: see \"makegood events list\".", oneLine(c.Quoted))
		case 1:
			return s.showOrder(db, found[0].ID, c.JSON)
		default:
			if !c.JSON {
				fmt.Fprintf(s.out, "%d orders match. Show one of them by its id:\n", len(found))
			}
			return s.printOrders(found, c.JSON)
		}
	})
}

func (s *surroundings) showOrder(db *store.Store, id string, asJSON bool) error {
	o, err := db.Order(s.ctx, id)
	if err != nil {
		return err
	}
	line, err := timeline(s.ctx, db, o)
	if err != nil {
		return err
	}
	if asJSON {
		return s.printJSON(struct {
			orderRow
			Licenses []licenseRow `json:"licenses"`
			Steps    []stepRow    `json:"steps"`
			Timeline []moment     `json:"timeline"`
		}{rowOf(o), licenseRows(o), stepRows(o), line})
	}
	printOrder(s.out, o)
	printTimeline(s.out, line)
	return nil
}

// printOrder shows an order to a person at the terminal, keys and address included: it is what a customer on the phone
// asks for.
func printOrder(out io.Writer, o makegood.Order) {
	w := sheet{out}
	w.row("Order", "%s", o.ID)
	w.row("Customer", "%s", or(o.Customer.Email+" "+o.Customer.Name, "-"))
	if o.Synthetic {
		w.more("Nobody: a watcher made this session to see whether it could be made.")
	}
	for _, l := range bought(o) {
		w.row("Bought", "%d × %s, %s", l.Quantity, or(l.Product, or(l.Label, "something that the catalogue does not have")), total(l.Subtotal))
	}
	w.row("Total", "%s", total(o.Total))
	w.row("Payment", "%s", paymentText(o))
	w.more(paymentHelp[o.Payment])
	w.row("Fulfilment", "%s", fulfillmentText(o))
	w.more(reasonHelp[o.Reason])
	for _, l := range o.Licenses {
		w.row("Licence", "%s  %s  %s", l.Key, l.Product, l.Status)
	}
	for _, step := range o.Steps {
		if step.LastError != "" {
			w.row("Trouble", "%s, %s attempt: %s", stepName(step.Name), ordinal(step.Attempts), reported(step))
			w.more(stepHelp[step.State])
		}
	}
	w.row("Session", "%s", o.Key.SessionID)
	if o.PaymentID != "" {
		w.row("Payment id", "%s", o.PaymentID)
	}
	w.row("Source", "%s, %s", o.Key.Source, modeText(o.Key.Live))
}

// bought is what the order is about: as it was booked, or before that as the provider told it.
func bought(o makegood.Order) []makegood.Line {
	lines := o.Lines
	for _, f := range o.Facts {
		if len(lines) == 0 {
			lines = f.Lines
		}
	}
	return lines
}

// paymentHelp says what a payment state means for the goods.
var paymentHelp = map[makegood.PaymentState]string{
	makegood.PaymentPending:  "The money is still on its way, or never sent. Nothing is given before it has arrived.",
	makegood.PaymentFailed:   "The money did not come. Nothing is owed.",
	makegood.PaymentExpired:  "The customer did not pay in time. Nothing is owed.",
	makegood.PaymentDisputed: "The customer disputes the payment at their bank. Answer in the provider's dashboard.",
}

func paymentText(o makegood.Order) string {
	if o.PaidAt.IsZero() {
		return string(o.Payment)
	}
	return fmt.Sprintf("%s, known since %s UTC", o.Payment, stamp(o.PaidAt))
}

func fulfillmentText(o makegood.Order) string {
	if took := toGoods(o); took != "" {
		return fmt.Sprintf("%s, %s after the payment was known", withReason(o), took)
	}
	return withReason(o)
}

// reasonHelp says what a reason means and what to do next.
var reasonHelp = map[string]string{
	makegood.ReasonUnknownProduct: "It was paid for something that the catalogue does not have. Add the product, or its provider_prices, restart, then: makegood orders make-good with the id of the order.",
	makegood.ReasonAmountMismatch: "Another amount was paid than was agreed. Compare the catalogue's price with the provider's.",
	makegood.ReasonContradiction:  "The provider told of this payment in two ways that differ. Look at the payment in the provider's dashboard.",
	makegood.ReasonNothingBought:  "It was paid, but nothing says for what. Look at the session in the provider's dashboard.",
	makegood.ReasonTooLarge:       "It has more lines or units than one order may have.",
	makegood.ReasonStepFailed:     "The order was paid and its licences are good, but something was given up; see the trouble below. When it is repaired: makegood orders make-good with the id of the order.",
	makegood.ReasonNoAddress:      "The customer left no address to write to: the key is on the page after paying, where there is one. If the order is stuck, give the customer the key by hand.",
	makegood.ReasonSyntheticPaid:  "Somebody paid in a session that only a watcher made. Nothing was given. Refund it in the provider's dashboard, and find out who had the address of the session.",
	makegood.ReasonStepDiscarded:  "A person decided that a part of it is not needed; the audit says who and why.",
}

// reported is a step's last error without the mark by which the queue gave it up.
func reported(step makegood.Step) string { return strings.TrimPrefix(step.LastError, "permanent: ") }

// modeText says whether money is real.
func modeText(live bool) string {
	if live {
		return "live mode: real money"
	}
	return "test mode: no real money"
}

// stepHelp says what happens to a step that had trouble.
var stepHelp = map[makegood.StepState]string{
	makegood.StepOwed:   "It will be tried again by itself.",
	makegood.StepFailed: "It is not tried again by itself. Repair the cause first.",
}

type licenseRow struct {
	ID       string                 `json:"id"`
	Key      string                 `json:"key"`
	Product  string                 `json:"product"`
	Status   makegood.LicenseStatus `json:"status"`
	IssuedAt time.Time              `json:"issued_at"`
}

func licenseRows(o makegood.Order) []licenseRow {
	rows := make([]licenseRow, len(o.Licenses))
	for i, l := range o.Licenses {
		rows[i] = licenseRow{l.ID, l.Key, l.Product, l.Status, l.IssuedAt}
	}
	return rows
}

type stepRow struct {
	Name      string             `json:"name"`
	State     makegood.StepState `json:"state"`
	Attempts  int                `json:"attempts"`
	Receipt   string             `json:"receipt,omitempty"`
	LastError string             `json:"last_error,omitempty"`
	DoneAt    time.Time          `json:"done_at,omitzero"`
}

func stepRows(o makegood.Order) []stepRow {
	rows := make([]stepRow, len(o.Steps))
	for i, step := range o.Steps {
		rows[i] = stepRow{step.Name, step.State, step.Attempts, step.Receipt, step.LastError, step.DoneAt}
	}
	return rows
}

// troubleOf is why an order is not made good, for an error.
func troubleOf(o makegood.Order) error {
	for _, step := range o.Steps {
		if step.State == makegood.StepFailed {
			return fmt.Errorf("the order was paid but not made good: the %s was given up: %s", stepName(step.Name), reported(step))
		}
	}
	return errors.New("the order was paid but not made good: it is " + withReason(o))
}
