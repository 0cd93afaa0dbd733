package cli

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type ordersCommands struct {
	List ordersListCommand `cmd:"" help:"List orders, newest first."`
	Show ordersShowCommand `cmd:"" help:"Show an order with its time line from payment to goods."`
}

type ordersListCommand struct {
	Payment     string `help:"Only orders in this payment state." enum:",pending,paid,partially_refunded,refunded,disputed,failed,expired" default:""`
	Fulfillment string `help:"Only orders in this fulfilment state." enum:",unfulfilled,in_progress,fulfilled,stuck,revoked" default:""`
	Limit       int    `help:"At most so many." default:"50"`
	JSON        bool   `help:"Print JSON."`
}

// orderRow is an order in a listing.
type orderRow struct {
	ID          string                    `json:"id"`
	SessionID   string                    `json:"session_id"`
	Total       makegood.Money            `json:"total"`
	Payment     makegood.PaymentState     `json:"payment"`
	Fulfillment makegood.FulfillmentState `json:"fulfillment"`
	Reason      string                    `json:"reason,omitempty"`
	CreatedAt   time.Time                 `json:"created_at"`
	PaidAt      time.Time                 `json:"paid_at,omitzero"`
	FulfilledAt time.Time                 `json:"fulfilled_at,omitzero"`
}

func rowOf(o makegood.Order) orderRow {
	return orderRow{o.ID, o.Key.SessionID, o.Total, o.Payment, o.Fulfillment, o.Reason, o.CreatedAt, o.PaidAt, o.FulfilledAt}
}

// Run lists orders.
func (c ordersListCommand) Run(s *surroundings) error {
	return s.withStore(func(db *store.Store) error {
		orders, err := db.Orders(s.ctx, store.OrderFilter{Payment: makegood.PaymentState(c.Payment),
			Fulfillment: makegood.FulfillmentState(c.Fulfillment), Limit: c.Limit})
		if err != nil {
			return err
		}
		return s.printOrders(orders, c.JSON)
	})
}

func (s *surroundings) printOrders(orders []makegood.Order, asJSON bool) error {
	if asJSON {
		rows := make([]orderRow, len(orders))
		for i, o := range orders {
			rows[i] = rowOf(o)
		}
		return s.printJSON(rows)
	}
	if len(orders) == 0 {
		fmt.Fprintln(s.out, "No orders.")
		return nil
	}
	w := table(s.out)
	fmt.Fprintln(w, "ORDER\tCREATED\tTOTAL\tPAYMENT\tFULFILMENT\tPAYMENT TO GOODS")
	for _, o := range orders {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", o.ID, stamp(o.CreatedAt), total(o.Total), o.Payment, withReason(o), toGoods(o))
	}
	return w.Flush()
}

func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

func total(m makegood.Money) string {
	if m.Currency == "" {
		return "-"
	}
	return m.String()
}

func withReason(o makegood.Order) string {
	if o.Reason == "" {
		return string(o.Fulfillment)
	}
	return string(o.Fulfillment) + ": " + o.Reason
}

// toGoods is the number that the customer feels.
func toGoods(o makegood.Order) string {
	if o.PaidAt.IsZero() || o.FulfilledAt.IsZero() {
		return "-"
	}
	return short(o.FulfilledAt.Sub(o.PaidAt))
}

type ordersShowCommand struct {
	Quoted string `arg:"" name:"order" help:"An order id, session, payment, licence key or e-mail address."`
	JSON   bool   `help:"Print JSON."`
}

// Run shows the one order that was meant, or lists those that could be.
func (c ordersShowCommand) Run(s *surroundings) error {
	return s.withStore(func(db *store.Store) error {
		found, err := db.FindOrders(s.ctx, c.Quoted)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
			return makegood.Errorf(makegood.NotFound, "No order has this id, session, payment, key or address.")
		case 1:
			return s.showOrder(db, found[0].ID, c.JSON)
		default:
			if !c.JSON {
				fmt.Fprintf(s.out, "%d orders match; show one by its id:\n", len(found))
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
			PaymentID string       `json:"payment_id"`
			Customer  customerRow  `json:"customer"`
			Licenses  []licenseRow `json:"licenses"`
			Steps     []stepRow    `json:"steps"`
			Timeline  []moment     `json:"timeline"`
		}{rowOf(o), o.PaymentID, customerRow(o.Customer), licenseRows(o), stepRows(o), line})
	}
	printOrder(s.out, o)
	fmt.Fprintln(s.out, "Time line")
	printTimeline(s.out, line)
	return nil
}

// printOrder shows an order to a person at the terminal, keys and address included: it is what a customer on the phone
// asks for.
func printOrder(w io.Writer, o makegood.Order) {
	fmt.Fprintf(w, "Order      %s\n", o.ID)
	fmt.Fprintf(w, "Session    %s (%s)\n", o.Key.SessionID, o.Key.Source)
	if o.PaymentID != "" {
		fmt.Fprintf(w, "Payment id %s\n", o.PaymentID)
	}
	if o.Customer.Email != "" {
		fmt.Fprintf(w, "Customer   %s %s\n", o.Customer.Email, o.Customer.Name)
	}
	fmt.Fprintf(w, "Total      %s\n", total(o.Total))
	fmt.Fprintf(w, "Payment    %s\n", o.Payment)
	fmt.Fprintf(w, "Fulfilment %s\n", withReason(o))
	if help := reasonHelp[o.Reason]; help != "" {
		fmt.Fprintf(w, "           %s\n", help)
	}
	for _, l := range o.Licenses {
		fmt.Fprintf(w, "Licence    %s  %s  %s\n", l.Key, l.Product, l.Status)
	}
	for _, step := range o.Steps {
		if step.LastError != "" {
			fmt.Fprintf(w, "Trouble    %s, attempt %d: %s\n", step.Name, step.Attempts, step.LastError)
		}
	}
	if d := toGoods(o); d != "-" {
		fmt.Fprintf(w, "Payment to goods: %s\n", d)
	}
}

// reasonHelp says what to do next.
var reasonHelp = map[string]string{
	makegood.ReasonUnknownProduct: "Paid for something that is not in the catalogue. Add the product, or its provider_prices, and deliver the event again.",
	makegood.ReasonAmountMismatch: "Paid another amount than was agreed. Compare the catalogue with the provider's prices.",
	makegood.ReasonContradiction:  "The provider told this payment in two ways. Look at both in the provider's dashboard.",
	makegood.ReasonNothingBought:  "Paid, but nothing says for what. Look at the session in the provider's dashboard.",
	makegood.ReasonTooLarge:       "More lines or units than one order may have.",
	makegood.ReasonStepFailed:     "An effect was given up; the reason stands below.",
	makegood.ReasonNoAddress:      "There is no address to write to; the customer saw the key on the page only.",
}

type customerRow struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
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
