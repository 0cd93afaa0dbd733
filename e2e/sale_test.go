package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
)

const (
	// actMax is the longest between two things that happen to the money of a sale.
	actMax = 2 * time.Second
	// holdMax is the longest that a provider keeps its deliveries back, and captureMax how long a buyer who came back waits
	// for the capture while it does.
	holdMax    = 300 * time.Millisecond
	captureMax = time.Second
	// partPayPal and partEarly are how many sales of a hundred are paid at PayPal, and how many of those whose money moves
	// again have it moved before their own event is delivered.
	partPayPal = 35
	partEarly  = 40
)

// shelf is what is sold, in USD cents.
var shelf = []struct {
	product   string
	price     int64
	isStocked bool
}{{"az-900", 2900, false}, {"az-104", 3900, true}}

// act is something that happens to the money of a sale.
type act int

const (
	refundAll  act = iota // all that is left
	refundPart            // a part of it
	refundBack            // the last refund fails after it had succeeded
	dispute
	disputeWon
	disputeLost
)

// fates are the lives of a sale after it was paid, each with how many of a hundred sales have it.
var fates = []struct {
	share int
	acts  []act
}{
	{8, []act{refundAll}},
	{7, []act{refundPart}},
	{4, []act{refundPart, refundAll}},
	{7, []act{refundAll, refundBack}},
	{4, []act{refundPart, refundBack}},
	{3, []act{refundPart, refundAll, refundBack}},
	{4, []act{dispute}},
	{5, []act{dispute, disputeWon}},
	{4, []act{dispute, disputeLost}},
	{2, []act{dispute, disputeWon, refundAll}},
	{2, []act{refundPart, dispute, disputeWon}},
}

func someFate() []act {
	at := rand.IntN(100)
	for _, f := range fates {
		if at -= f.share; at < 0 {
			return f.acts
		}
	}
	return nil
}

// till is the provider's side of a sale, for whoever owns the money. Both simulations are one.
type till interface {
	Refund(payment string, amount int64) (refundID string, err error)
	FailRefund(refundID string) error
	Dispute(payment string) (disputeID string, err error)
	CloseDispute(disputeID string, won bool) error
}

var (
	_ till = (*simulate.Stripe)(nil)
	_ till = (*simulate.PayPal)(nil)
)

// sale is one order as the provider and the customer know it. It is the oracle: it says what must have become of the
// order from what the test did, and from nothing that the program says.
type sale struct {
	source, session, email string
	product                string
	price                  int64
	quantity               int
	isStocked              bool
	at                     time.Time
	fate                   []act
	isPoisoned             bool // the provider's API does not know it until somebody repairs that

	mu       sync.Mutex
	refunds  map[string]int64 // that stand, by id
	last     string           // the newest refund
	disputes map[string]act   // the newest state, by id
	disputed string           // the newest dispute
}

func newSale(n int) *sale {
	item := shelf[rand.IntN(len(shelf))]
	return &sale{source: "stripe", email: fmt.Sprintf("buyer-%05d@example.com", n), product: item.product, price: item.price,
		isStocked: item.isStocked, quantity: 1 + rand.IntN(2)*rand.IntN(3), fate: someFate(), refunds: map[string]int64{}, disputes: map[string]act{}}
}

func (s *sale) total() int64 { return s.price * int64(s.quantity) }

// refunded is how much went back for good. The caller holds the lock.
func (s *sale) refunded() (sum int64) {
	for amount := range maps.Values(s.refunds) {
		sum += amount
	}
	return sum
}

// do lets something happen at the provider and writes it down.
func (s *sale) do(a act, t till, payment string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.total() - s.refunded()
	switch a {
	case refundAll:
		if s.last, err = t.Refund(payment, 0); err == nil {
			s.refunds[s.last] = left
		}
	case refundPart:
		part := 1 + rand.Int64N(left-1)
		if s.last, err = t.Refund(payment, part); err == nil {
			s.refunds[s.last] = part
		}
	case refundBack:
		err = t.FailRefund(s.last)
		delete(s.refunds, s.last)
	case dispute:
		if s.disputed, err = t.Dispute(payment); err == nil {
			s.disputes[s.disputed] = dispute
		}
	case disputeWon, disputeLost:
		err = t.CloseDispute(s.disputed, a == disputeWon)
		s.disputes[s.disputed] = a
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", s.source, s.session, err)
	}
	return nil
}

// standing is where a sale must have ended.
type standing struct {
	payment, entitlement string
	stock                int // what its moves add up to
}

func (s *sale) standing() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	refunded := s.refunded()
	has := func(a act) bool { return slices.Contains(slices.Collect(maps.Values(s.disputes)), a) }
	end := standing{"paid", "active", 0}
	switch {
	case refunded == s.total():
		end = standing{"refunded", "revoked", 0}
	case has(disputeLost):
		end = standing{"disputed", "revoked", 0}
	case has(dispute):
		end = standing{"disputed", "suspended", 0}
	case refunded > 0:
		end.payment = "partially_refunded"
	}
	if s.isStocked && end.entitlement != "revoked" {
		end.stock = -s.quantity
	}
	return end
}

// mayBeEmpty reports whether the money may be known to have gone back before the sale is: then nothing is booked.
func (s *sale) mayBeEmpty() bool {
	return slices.Contains(s.fate, refundAll) || slices.Contains(s.fate, disputeLost)
}

// keys are the keys of the sale, computed apart from the server.
func (s *sale) keys() []string {
	var keys []string
	for unit := range s.quantity {
		keys = append(keys, makegood.DeriveKey([]byte(demo.LicenseSecret), "GD", makegood.KeySlot{SessionID: s.session, Unit: unit}))
	}
	return keys
}

// keyOf is the one key of a session of one thing.
func keyOf(session string) string { return (&sale{session: session, quantity: 1}).keys()[0] }

// sell sells the n-th order and lives its life to the end.
func (k *killing) sell(ctx context.Context, n int) {
	s := newSale(n)
	if rand.IntN(100) < partPayPal {
		s.source = "paypal"
		k.sellAtPayPal(ctx, s)
	} else {
		k.sellAtStripe(ctx, s)
	}
}

// sellAtStripe sells through the server's own checkout or, mostly and when the server is dead, through a payment link.
func (k *killing) sellAtStripe(ctx context.Context, s *sale) {
	err := errors.New("by payment link")
	if rand.IntN(4) == 0 {
		s.session, err = k.checkoutAt(ctx, k.client, s.source, s.product, s.quantity)
	}
	if err != nil {
		s.session = k.linkedSessionOf(s.product, s.price, s.quantity)
	}
	release, early := k.holdFor(s)
	defer release()
	s.at = time.Now()
	if err := k.stripe.Pay(s.session, simulate.Customer{Email: s.email, Name: "Ann Example"}); err != nil {
		k.violate("%v", err)
		return
	}
	k.note(s)
	session, _ := k.stripe.Session(s.session) // it was just paid
	k.live(ctx, s, k.stripe, session.PaymentIntent, release, early)
}

// sellAtPayPal sells through the server's checkout, which has to be asked again while the server is dead. The buyer only
// approves; the program captures.
func (k *killing) sellAtPayPal(ctx context.Context, s *sale) {
	for {
		var err error
		if s.session, err = k.checkoutAt(ctx, k.client, s.source, s.product, s.quantity); err == nil {
			break
		}
		if wait(ctx, rand.N(60*time.Millisecond)) != nil {
			k.violate("nothing can be bought at PayPal: %v", err)
			return
		}
	}
	k.poison(s)
	release, early := k.holdFor(s)
	defer release()
	s.at = time.Now()
	if err := k.paypal.Approve(s.session, simulate.Customer{Email: s.email, Name: "Ann Example"}); err != nil {
		k.violate("%v", err)
		return
	}
	k.note(s)
	if len(s.fate) == 0 {
		return
	}
	if early > 0 && k.awaitCapture(ctx, s, captureMax, true) == "" {
		release()
		early = 0
	}
	if payment := k.awaitCapture(ctx, s, settleLimit, false); payment != "" {
		k.live(ctx, s, k.paypal, payment, release, early)
	} else {
		k.violate("PayPal's order %s was approved and not captured within %v", s.session, settleLimit)
	}
}

// awaitCapture waits for the capture of an approved order, "" when there is none in time. A buyer who comes back makes the
// program look even while nothing is delivered.
func (k *killing) awaitCapture(ctx context.Context, s *sale, limit time.Duration, isBack bool) (payment string) {
	_ = eventually(ctx, limit, func() error { // none is an answer
		if isBack {
			_, _, _ = k.verifyAt(ctx, k.client, s.source, s.session) // the server may be dead
		}
		order, _ := k.paypal.Order(s.session)
		if len(order.Captures) == 0 {
			return errors.New("not captured")
		}
		payment = order.Captures[0]
		return nil
	})
	return payment
}

// live lets happen what fate has for a sale: the early acts at once, while its events are held back, then a release, and
// the others one after another.
func (k *killing) live(ctx context.Context, s *sale, t till, payment string, release func(), early int) {
	for i, a := range s.fate {
		if i == early && early > 0 {
			if wait(ctx, rand.N(holdMax)) != nil {
				return
			}
			release()
		}
		if i >= early && wait(ctx, rand.N(actMax)) != nil {
			return
		}
		if err := s.do(a, t, payment); err != nil {
			k.violate("%v", err)
			return
		}
		k.count(a)
	}
	if early > 0 {
		k.figures.early.Add(1)
	}
}

// note makes a sale known to those who look.
func (k *killing) note(s *sale) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paid = append(k.paid, s)
}

// count counts an act.
func (k *killing) count(a act) {
	switch a {
	case refundAll, refundPart:
		k.figures.refunds.Add(1)
	case refundBack:
		k.figures.refundsBack.Add(1)
	case dispute:
		k.figures.disputes.Add(1)
	case disputeWon:
		k.figures.won.Add(1)
	case disputeLost:
		k.figures.lostDisputes.Add(1)
	}
}

// poison lets PayPal's API not know a few orders that are approved there, until heal: their events are given up, and a
// person has to have them done again.
func (k *killing) poison(s *sale) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.poisoned) < max(1, *killOrders/poisonEvery) {
		s.isPoisoned, s.fate = true, nil
		k.poisoned[s.session] = true
	}
}

// poisonEvery is the number of orders of which one is poisoned.
const poisonEvery = 400

// holdFor keeps all deliveries of both providers back when a sale is one whose money moves before its own event arrives,
// and says how many of its acts come so early. Whoever pays meanwhile is held as well. Only one holds at a time.
func (k *killing) holdFor(s *sale) (release func(), early int) {
	if len(s.fate) == 0 || rand.IntN(100) >= partEarly {
		return func() {}, 0
	}
	k.weather.Lock()
	defer k.weather.Unlock()
	if k.isHeld {
		return func() {}, 0
	}
	k.isHeld = true
	k.turn()
	return sync.OnceFunc(func() {
		k.weather.Lock()
		defer k.weather.Unlock()
		k.isHeld = false
		k.turn()
	}), 1 + rand.IntN(len(s.fate))
}

// turn gives both providers another weather. The caller holds the lock.
func (k *killing) turn() {
	duplicates, reorder := rand.IntN(3), k.wasHeld || rand.IntN(2) == 0
	k.wasHeld = k.isHeld
	k.stripe.SetFaults(simulate.Faults{ConstantRetry: deliveryRetry, Duplicate: duplicates, Hold: k.isHeld, Reorder: reorder,
		FailAPI: outage, FailAfter: lostAnswer, Drop: k.copyLater(k.stripe.Deliver)})
	k.paypal.SetFaults(simulate.PayPalFaults{ConstantRetry: deliveryRetry, Duplicate: duplicates, Hold: k.isHeld, Reorder: reorder,
		FailAPI: k.outageOrPoison, FailAfter: lostAnswer, RetryAfter: time.Second, HideFor: rand.N(hideMax), Drop: k.copyLater(k.paypal.Deliver)})
}

// hideMax is how long PayPal's API may not know a payment of which PayPal has told already.
const hideMax = 200 * time.Millisecond

// copyLater drops nothing. Through it the test learns of every event, and delivers it again up to two times, some lives
// later.
func (k *killing) copyLater(deliver func(eventID string)) func(simulate.Event) bool {
	return func(e simulate.Event) bool {
		for range rand.IntN(copiesMax + 1) {
			k.copies.Add(1)
			time.AfterFunc(rand.N(lateMax), func() {
				deliver(e.ID)
				k.copies.Add(-1)
			})
		}
		return false
	}
}

// outage is an API on a bad day: of a hundred calls some are refused and have done nothing.
func outage(*http.Request) int {
	switch rand.IntN(100) {
	case 0, 1:
		return http.StatusInternalServerError
	case 2:
		return http.StatusTooManyRequests
	case 3:
		return simulate.Abort
	}
	return 0
}

// lostAnswer is a call that was heard, and of which the caller does not learn it.
func lostAnswer(*http.Request) int {
	switch rand.IntN(100) {
	case 0, 1:
		return http.StatusInternalServerError
	case 2:
		return simulate.Abort
	case 3:
		return simulate.Hang
	}
	return 0
}
