package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/simulate"
)

// examine compares what the providers, the mail service, the listeners and the customers know with what the database says.
func (k *killing) examine(w *witness) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.figures.orders, k.figures.deliveries = len(k.paid), k.line.count()
	var errs []error
	bad := func(format string, args ...any) {
		if len(errs) < 40 {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, k.violated...)
	errs = append(errs, k.shop.refused...)
	errs = append(errs, k.ledger.refused...)
	if len(k.paid) != *killOrders || k.figures.kills != *killKills {
		bad("%d orders were paid and %d servers killed, want %d and %d", len(k.paid), k.figures.kills, *killOrders, *killKills)
	}
	if k.figures.lettersAfter != 0 {
		bad("%d dead letters are open after the bulk retry", k.figures.lettersAfter)
	}
	k.examineOrders(w, bad)
	k.examineEvents(w, bad)
	for _, rule := range rules {
		if n, err := w.count(rule.broken); err != nil || n != 0 {
			bad("%d times broken: %s (%v)", n, rule.name, err)
		}
	}
	if err := w.integrity(); err != nil {
		bad("%v", err)
	}
	return errors.Join(errs...)
}

func (k *killing) examineOrders(w *witness, bad func(string, ...any)) {
	orders, err := w.orders()
	if err != nil {
		bad("%v", err)
	}
	keys := map[string]bool{}
	licenses := 0
	ids := map[string]map[string]string{"shop": {}, "ledger": {}}
	for _, s := range k.paid {
		if s.source == "paypal" {
			k.figures.paypal++
		}
		o, ok := orders[s.source+"/"+s.session]
		if !ok {
			k.figures.lost++
			bad("order of %s's session %s is lost", s.source, s.session)
			continue
		}
		licenses += len(o.licenses)
		for _, l := range o.licenses {
			keys[l.key] = true
		}
		k.examineOrder(s, o, bad)
		k.examineMails(s, o, bad)
		k.examineTellings(s, o, ids, bad)
		if len(s.fate) == 0 && len(o.givenUp) == 0 && !s.isPoisoned {
			k.figures.slowest = max(k.figures.slowest, o.fulfilledAt.Sub(s.at))
		}
	}
	if len(orders) != len(k.paid) {
		bad("there are %d orders for %d sales", len(orders), len(k.paid))
	}
	k.figures.doubled = licenses - len(keys)
	if k.figures.doubled != 0 {
		bad("%d licences have %d different keys", licenses, len(keys))
	}
	k.figures.mails = k.resend.Count()
	if k.figures.mails > len(k.paid) {
		bad("%d mails were accepted for %d sales", k.figures.mails, len(k.paid))
	}
}

// examineOrder compares an order with its oracle.
func (k *killing) examineOrder(s *sale, o soldOrder, bad func(string, ...any)) {
	want := s.standing()
	about := fmt.Sprintf("order %s (%s, %d times %s, fate %v)", o.id, s.source, s.quantity, s.product, s.fate)
	if o.payment != want.payment || o.entitlement != want.entitlement || o.reason != "" {
		bad("%s is %s, %s and %q, want %s, %s and no reason", about, o.payment, o.entitlement, o.reason, want.payment, want.entitlement)
	}
	if o.stock != want.stock || !s.isStocked && o.moves != 0 {
		bad("%s moved the stock by %d in %d moves, want %d", about, o.stock, o.moves, want.stock)
	}
	wantFulfillment := []string{string(makegood.Fulfilled)}
	switch {
	case want.entitlement == "revoked":
		wantFulfillment = []string{string(makegood.Revoked)}
	case want.entitlement == "suspended": // goods that were not out when they were put on hold wait for the end of it
		wantFulfillment = append(wantFulfillment, string(makegood.InProgress))
	}
	if !slices.Contains(wantFulfillment, o.fulfillment) {
		bad("%s is %s, want one of %v", about, o.fulfillment, wantFulfillment)
	}
	if len(o.licenses) == 0 && want.entitlement == "revoked" && s.mayBeEmpty() {
		return // the money had gone back before the sale was known
	}
	if len(o.licenses) < s.quantity {
		k.figures.lost++
	}
	if len(o.licenses) != s.quantity {
		bad("%s has %d licences", about, len(o.licenses))
		return
	}
	for i, key := range s.keys() {
		l := o.licenses[i]
		if l.line != 0 || l.unit != i || l.revision != 0 || l.key != key || l.product != s.product || l.status != want.entitlement {
			bad("%s has the licence %+v, want unit %d with the key %s, %s", about, l, i, key, want.entitlement)
		}
	}
}

// examineMails wants one mail where goods are due, and never more.
func (k *killing) examineMails(s *sale, o soldOrder, bad func(string, ...any)) {
	mails := k.resend.Inbox(s.email)
	k.figures.mailsMax = max(k.figures.mailsMax, len(mails))
	isDue := s.standing().entitlement == "active"
	if len(mails) > 1 || isDue && len(mails) == 0 || len(mails) > 0 && len(o.licenses) == 0 {
		bad("%s has %d mails for order %s with %d licences (fate %v)", s.email, len(mails), o.id, len(o.licenses), s.fate)
	}
	for _, m := range mails {
		for _, key := range s.keys() {
			if !strings.Contains(m.Text, key) {
				bad("the mail to %s lacks the key %s", s.email, key)
			}
		}
	}
}

// examineTellings wants both listeners to know how an order ended.
func (k *killing) examineTellings(s *sale, o soldOrder, ids map[string]map[string]string, bad func(string, ...any)) {
	want := s.standing()
	for _, l := range []*listener{k.shop, k.ledger} {
		last, stale := l.examineOrder(o.id, o.tellings[l.name], o.givenUp[l.name], ids[l.name], bad)
		k.figures.stale += stale
		if last.data.Sequence == 0 {
			if want.entitlement == "active" {
				bad("%s never accepted a telling of order %s (fate %v)", l.name, o.id, s.fate)
			}
			continue
		}
		about := fmt.Sprintf("%s: telling %d of order %s (fate %v)", l.name, last.data.Sequence, o.id, s.fate)
		if last.data.Payment != want.payment || last.data.Entitlement != want.entitlement {
			bad("%s is the last and says %s, %s; want %s, %s", about, last.data.Payment, last.data.Entitlement, want.payment, want.entitlement)
		}
		if last.data.Source != s.source || last.data.SessionID != s.session || last.data.Customer.Email != s.email || len(last.data.Lines) != 1 {
			bad("%s is about something else: %s", about, last.body)
			continue
		}
		line := last.data.Lines[0]
		var keys []string
		for _, told := range line.Licenses {
			keys = append(keys, told.Key)
			if told.Status != want.entitlement {
				bad("%s says that licence %s is %s, want %s", about, told.Key, told.Status, want.entitlement)
			}
		}
		if line.Product != s.product || line.Quantity != s.quantity || !slices.Equal(keys, s.keys()) {
			bad("%s tells %d times %s with the keys %v", about, line.Quantity, line.Product, keys)
		}
	}
}

// examineEvents checks that what was answered with a 2xx is kept, byte for byte, and nothing else is, and that hardly
// anything needed a person.
func (k *killing) examineEvents(w *witness, bad func(string, ...any)) {
	kept, err := w.payloads()
	if err != nil {
		bad("%v", err)
	}
	k.figures.events = len(kept)
	for id, body := range k.line.acknowledged() {
		if !bytes.Equal(kept[id], body) {
			bad("event %s was answered with a 2xx and is not kept as it was delivered (%d bytes of %d)", id, len(kept[id]), len(body))
		}
	}
	for _, events := range [][]simulate.Event{k.stripe.Events(), k.paypal.Events()} {
		for _, e := range events {
			if _, ok := kept[e.ID]; !ok || !e.IsDelivered() {
				bad("event %s (%s): delivered %v, kept %v", e.ID, e.Type, e.IsDelivered(), ok)
			}
			delete(kept, e.ID)
		}
	}
	if len(kept) != 0 {
		bad("%d events are kept that no provider knows", len(kept))
	}
	poisoned := 0
	for _, s := range k.paid {
		if s.isPoisoned {
			poisoned++
		}
	}
	if needed := k.figures.eventLetters - poisoned; needed*100_000 > (100_000-processedLeast)*k.figures.events {
		bad("of %d events %d needed a person, beside the %d that were poisoned", k.figures.events, needed, poisoned)
	}
	if k.figures.eventLetters < poisoned {
		bad("%d events were given up, and %d were poisoned", k.figures.eventLetters, poisoned)
	}
}
