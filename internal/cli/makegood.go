package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/desk"
)

type ordersFindCommand struct {
	Quoted string `arg:"" help:"What somebody quotes: an e-mail address, a licence key, or any id of order, session, payment, charge, invoice, subscription, refund or dispute."`
	JSON   bool   `help:"Print JSON, for programs. Times are UTC."`
}

// Run finds purchases here and at the providers.
func (c ordersFindCommand) Run(s *surroundings) error {
	return s.act(func(desk *control) error {
		var answer api.FindAnswer
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/orders/find", api.FindAsk{Quoted: c.Quoted}, &answer); err != nil {
			return err
		}
		if c.JSON {
			return s.printJSON(answer)
		}
		for name, why := range answer.Unasked {
			fmt.Fprintf(s.out, "Source %s could not be asked, so what only it knows is missing: %s\n", name, oneLine(why))
		}
		if len(answer.Orders) == 0 && len(answer.Unasked) > 0 {
			return makegood.Errorf(makegood.NotFound, "Nothing here fits %s, and not every provider could be asked; try again when it answers.", oneLine(c.Quoted))
		}
		if len(answer.Orders) == 0 {
			return makegood.Errorf(makegood.NotFound, "Neither we nor the providers know a purchase that fits %s. Ask the customer for the payment's id or the receipt.", oneLine(c.Quoted))
		}
		w := table(s.out)
		fmt.Fprintln(w, "ORDER\tSOURCE\tSESSION\tCUSTOMER\tTOTAL\tPAYMENT\tFULFILMENT")
		for _, o := range answer.Orders {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", or(o.ID, "(only at the provider)"), o.Source, o.SessionID, or(o.Email, "-"), total(o.Total),
				or(string(o.Payment), "-"), or(string(o.Fulfillment), "-"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Make one good: makegood orders make-good %s\n", answer.Orders[0].SessionID)
		return nil
	})
}

type ordersMakeGoodCommand struct {
	Quoted string        `arg:"" help:"What somebody quotes, as in \"orders find\"; it must fit one purchase."`
	Resend bool          `help:"Send the mail that was sent once more, byte for byte."`
	Wait   time.Duration `help:"Wait so long for the goods." default:"20s"`
	JSON   bool          `help:"Print JSON, for programs. Times are UTC."`
}

// Run makes one purchase good and waits for the goods.
func (c ordersMakeGoodCommand) Run(s *surroundings) error {
	return s.act(func(desk *control) error {
		var answer api.MakeGoodAnswer
		ask := api.MakeGoodAsk{Quoted: c.Quoted, Resend: c.Resend}
		if err := desk.ask(s.ctx, http.MethodPost, "/api/admin/orders/make-good", ask, &answer); err != nil {
			return err
		}
		if !c.JSON {
			for _, did := range answer.Did {
				fmt.Fprintln(s.out, "- "+oneLine(did))
			}
		}
		if desk.server {
			o, err := c.await(s, desk, answer.Order)
			if err != nil {
				return err
			}
			answer.Order = o
		}
		if c.JSON {
			return s.printJSON(answer)
		}
		return c.report(s, desk, answer.Order)
	})
}

// await looks at the order until nothing is owed, or the time is over.
func (c ordersMakeGoodCommand) await(s *surroundings, desk *control, o api.OrderView) (api.OrderView, error) {
	deadline := time.Now().Add(c.Wait)
	for isOwed(o) && time.Now().Before(deadline) {
		select {
		case <-s.ctx.Done():
			return o, s.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		o = api.OrderView{ID: o.ID}
		if err := desk.ask(s.ctx, http.MethodGet, "/api/admin/orders/"+o.ID, nil, &o); err != nil {
			return o, err
		}
	}
	return o, nil
}

func isOwed(o api.OrderView) bool {
	for _, step := range o.Steps {
		if step.State == makegood.StepOwed {
			return true
		}
	}
	return o.Fulfillment == makegood.InProgress
}

func (c ordersMakeGoodCommand) report(s *surroundings, desk *control, o api.OrderView) error {
	w := sheet{s.out}
	w.row("Order", "%s, %s, %s", o.ID, o.Payment, o.Fulfillment)
	for _, step := range o.Steps {
		w.row("  "+stepName(step.Name), "%s, %s", step.State, count(step.Attempts, "attempt"))
		if step.LastError != "" {
			w.more(oneLine(strings.TrimPrefix(step.LastError, "permanent: ")))
		}
	}
	more := "See everything: makegood orders show " + o.ID
	switch {
	case o.Entitlement == makegood.EntitledOnHold:
		fmt.Fprintf(s.out, "The goods rest while the payment is %s; nothing is owed until that ends.\n", o.Payment)
		return nil
	case o.Fulfillment == makegood.Fulfilled && !isOwed(o):
		fmt.Fprintln(s.out, "The order is good: the customer has what was paid for.")
		return nil
	case o.Fulfillment == makegood.Revoked || o.Fulfillment == makegood.Unfulfilled:
		fmt.Fprintf(s.out, "Nothing is owed: the payment is %s.\n", o.Payment)
		return nil
	case o.Fulfillment == makegood.Stuck:
		return fmt.Errorf("the order is still stuck (%s); docs/errors.md says what to do. %s", o.Reason, more)
	case !desk.server:
		desk.later(s.out)
		return nil
	}
	return fmt.Errorf("the goods were not out within %v; the server goes on trying. %s", c.Wait, more)
}

type eventsPullCommand struct {
	Since  time.Duration `help:"How far back to look; Stripe keeps undelivered events for 30 days." default:"72h"`
	Source string        `help:"Only this source; all that can be listed by default." placeholder:"NAME"`
	JSON   bool          `help:"Print JSON, for programs."`
}

// Run fetches what the providers could not deliver.
func (c eventsPullCommand) Run(s *surroundings) error {
	return s.act(func(control *control) error {
		all := []desk.Pulled{}
		var troubles []error
		for _, source := range control.config.Sources {
			if c.Source != "" && source.Name != c.Source {
				continue
			}
			var pulled desk.Pulled
			body := map[string]time.Time{"since": time.Now().Add(-c.Since).UTC()}
			err := control.ask(s.ctx, http.MethodPost, "/api/admin/sources/"+source.Name+"/events/pull", body, &pulled)
			if errors.Is(err, makegood.NotFound) && c.Source == "" {
				continue // its provider has no list of events
			}
			if err != nil {
				troubles = append(troubles, fmt.Errorf("source %s: %s", source.Name, s.plain(err)))
				continue
			}
			all = append(all, pulled)
			if !c.JSON {
				fmt.Fprintf(s.out, "%s: %s that had not arrived, %d known already\n", source.Name, count(pulled.New, "event"), pulled.Known)
			}
		}
		if c.JSON {
			troubles = append(troubles, s.printJSON(all))
		} else if len(all) == 0 && len(troubles) == 0 {
			troubles = append(troubles, c.nothing())
		}
		if !c.JSON && len(all) > 0 {
			control.later(s.out)
		}
		return errors.Join(troubles...)
	})
}

// nothing is why no source was asked.
func (c eventsPullCommand) nothing() error {
	if c.Source != "" {
		return fmt.Errorf("the configuration has no source %s; makegood config check lists them", oneLine(c.Source))
	}
	return errors.New("no source can list its events; their providers deliver again by themselves")
}
