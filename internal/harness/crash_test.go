package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// cellsMax bounds the matrix: a script of three orders makes about forty commits, and the queue a few of its own.
const cellsMax = 200

// TestCrashMatrix breaks every commit of a script of three orders, each in both ways, then starts the server again, lets
// the provider repeat, and checks that nothing is lost and nothing is given twice. It ends when the script is over before
// the fault strikes.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		for _, mode := range []Mode{NotKept, KeptAndLost} {
			t.Run(string(mode), func(t *testing.T) {
				t.Parallel()
				cells := matrix(t, url, mode, false, func(n int, violation error) bool {
					t.Errorf("commit %d %s: %v", n, mode, violation)
					return true
				})
				t.Logf("%d commits broken", cells)
				if cells < 10 {
					t.Errorf("only %d commits were broken; the script has more", cells)
				}
			})
		}
	})
}

// TestCrashMatrixSeesThePlantedBug keeps an event and its job in two commits, and wants the matrix to notice.
func TestCrashMatrixSeesThePlantedBug(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		found := false
		matrix(t, url, NotKept, true, func(n int, violation error) bool {
			found = true
			t.Logf("commit %d: %v", n, violation)
			return false
		})
		if !found {
			t.Error("the matrix passed although the event and its job are two commits")
		}
	})
}

// matrix runs a cell for each commit until none is left, and returns how many there were. violated says whether to go on.
func matrix(t *testing.T, url string, mode Mode, planted bool, violated func(n int, violation error) bool) int {
	for n := 1; n <= cellsMax; n++ {
		struck, err := cell(t, cellURL(t, url), mode, n, planted)
		if err != nil && !violated(n, err) {
			return n
		}
		if !struck {
			return n - 1
		}
	}
	t.Errorf("after %d commits the script is not over", cellsMax)
	return cellsMax
}

func cellURL(t *testing.T, url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		return storetest.SQLite(t)
	}
	return storetest.Postgres(t)
}

// dying is how long a server may take to stop whose database is dead: it tries in vain to close its books.
const dying = 100 * time.Millisecond

// cell plays the script once with the n-th commit broken.
func cell(t *testing.T, url string, mode Mode, n int, planted bool) (struck bool, violation error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// What the alarm writes comes when it comes: the n-th commit would be another one each time.
	w, err := demo.Start(ctx, demo.Options{Database: url, Retry: Quick(), NoAlarm: true})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	defer func() {
		if err := w.Stop(); err != nil && violation == nil {
			violation = fmt.Errorf("stop: %w", err)
		}
	}()
	w.Stripe.SetFaults(simulate.Faults{ConstantRetry: 15 * time.Millisecond})

	faults := Break(mode, n)
	broken := faults.Options()
	broken.PlantSplitAccept = planted
	if err := w.RestartServer(ctx, broken, dying); err != nil && !faults.Struck() {
		t.Fatalf("restart with faults: %v", err)
	}
	script := play(ctx, w, faults)
	struck = faults.Disarm()
	if struck {
		_ = w.StopServer() // it is dying; that it cannot close its books is the point
		if err := w.RestartServer(ctx, store.Options{PlantSplitAccept: planted}, 0); err != nil {
			t.Fatalf("restart after the fault: %v", err)
		}
	}
	return struck, script.finish(ctx, w)
}

// script is four orders: one key; three keys in one order; a delayed payment; and one whose money goes back at once, so
// that its refund may be learned before its sale.
type script struct {
	sessions map[string]int // keys that each must get
	emails   map[string]string
	delayed  string
	settled  bool
	refunded string // the session whose money went back; "" before
}

func play(ctx context.Context, w *demo.World, faults *Faults) *script {
	s := &script{sessions: map[string]int{}, emails: map[string]string{}}
	s.open(w, "ann@example.com", 1)
	s.open(w, "bob@example.com", 3)
	s.delayed = s.open(w, "cy@example.com", 1, simulate.Delayed())
	Eventually(ctx, 10*time.Second, func(ctx context.Context) bool { return faults.Struck() || s.fulfilled(ctx, w) == 2 })
	s.settleDelayed(w)
	Eventually(ctx, 10*time.Second, func(ctx context.Context) bool { return faults.Struck() || s.fulfilled(ctx, w) == 3 })
	s.refund(w)
	Eventually(ctx, 10*time.Second, func(ctx context.Context) bool { return faults.Struck() || s.revoked(ctx, w) })
	// The queue finishes its jobs a moment later, in commits of its own.
	Eventually(ctx, 10*time.Second, func(ctx context.Context) bool {
		if faults.Struck() { // the server may not even have started
			return true
		}
		depths, err := w.Store().QueueDepths(ctx)
		return err == nil && len(depths) == 0
	})
	return s
}

// open makes a session as a Payment Link does, because the server may be dead already, and pays it.
func (s *script) open(w *demo.World, email string, quantity int, options ...simulate.PayOption) string {
	session := w.Stripe.CreateSession(simulate.SessionParams{
		LineItems:  []simulate.LineItemParams{{PriceData: simulate.Price{Product: "AZ-900", Currency: "usd", UnitAmount: 2900}, Quantity: int64(quantity)}},
		Metadata:   map[string]string{"product": "az-900", "quantity": fmt.Sprint(quantity), "unit_amount": "2900", "currency": "usd"},
		SuccessURL: w.URL, CancelURL: w.URL,
	})
	s.sessions[session.ID], s.emails[session.ID] = quantity, email
	if err := w.Stripe.Pay(session.ID, simulate.Customer{Email: email}, options...); err != nil {
		panic(err)
	}
	return session.ID
}

func (s *script) settleDelayed(w *demo.World) {
	if s.settled {
		return
	}
	s.settled = true
	if err := w.Stripe.SettleDelayed(s.delayed, true); err != nil {
		panic(err)
	}
}

// refund pays an order and gives the money back before anybody has heard of either.
func (s *script) refund(w *demo.World) {
	if s.refunded != "" {
		return
	}
	w.Stripe.SetFaults(simulate.Faults{ConstantRetry: 15 * time.Millisecond, Hold: true, Reorder: true})
	s.refunded = s.open(w, "dan@example.com", 1)
	delete(s.sessions, s.refunded)
	sold, _ := w.Stripe.Session(s.refunded)
	if _, err := w.Stripe.Refund(sold.PaymentIntent, 2900); err != nil {
		panic(err)
	}
	w.Stripe.SetFaults(simulate.Faults{ConstantRetry: 15 * time.Millisecond})
}

// revoked reports whether the order whose money went back is known to be so.
func (s *script) revoked(ctx context.Context, w *demo.World) bool {
	o, err := w.Store().OrderBySession(ctx, "stripe", s.refunded)
	return err == nil && o.Payment == makegood.PaymentRefunded && o.Fulfillment == makegood.Revoked
}

// checkRefunded holds that nothing is left of the order whose money went back but what it may have had before.
func (s *script) checkRefunded(ctx context.Context, w *demo.World) error {
	o, err := w.Store().OrderBySession(ctx, "stripe", s.refunded)
	if err != nil {
		return err
	}
	for _, l := range o.Licenses {
		if l.Status != makegood.LicenseRevoked {
			return fmt.Errorf("the refunded order has a licence that is %s", l.Status)
		}
	}
	if n := len(w.Resend.Inbox(s.emails[s.refunded])); n > 1 {
		return fmt.Errorf("the refunded order has %d mails", n)
	}
	return nil
}

func (s *script) fulfilled(ctx context.Context, w *demo.World) int {
	n := 0
	for session := range s.sessions {
		o, err := w.Store().OrderBySession(ctx, "stripe", session)
		if err == nil && o.Fulfillment == makegood.Fulfilled {
			n++
		}
	}
	return n
}

// finish waits until everything that was paid is made good, then checks the invariants.
func (s *script) finish(ctx context.Context, w *demo.World) error {
	if !Eventually(ctx, 8*time.Second, func(ctx context.Context) bool {
		depths, err := w.Store().QueueDepths(ctx)
		return err == nil && len(depths) == 0 && s.fulfilled(ctx, w) == len(s.sessions) && s.revoked(ctx, w)
	}) {
		return fmt.Errorf("only %d of %d orders are made good", s.fulfilled(ctx, w), len(s.sessions))
	}
	errs := []error{s.checkRefunded(ctx, w)}
	for _, session := range slices.SortedFunc(maps.Keys(s.sessions), cmp.Compare[string]) {
		errs = append(errs, s.check(ctx, w, session))
	}
	for _, state := range []makegood.EventState{makegood.EventKept, makegood.EventDead} {
		if left, err := w.Store().Events(ctx, store.EventFilter{State: state}); err != nil || len(left) > 0 {
			errs = append(errs, fmt.Errorf("%d events are %s (%v)", len(left), state, err))
		}
	}
	if letters, err := w.Store().DeadLetters(ctx, store.DeadLetterFilter{}); err != nil || len(letters) > 0 {
		errs = append(errs, fmt.Errorf("%d dead letters (%v)", len(letters), err))
	}
	return errors.Join(errs...)
}

func (s *script) check(ctx context.Context, w *demo.World, session string) error {
	o, err := w.Store().OrderBySession(ctx, "stripe", session)
	if err != nil {
		return err
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(s.emails[session]+": "+format, args...))
	}
	if len(o.Licenses) != s.sessions[session] {
		bad("%d licences, want %d (I1)", len(o.Licenses), s.sessions[session])
	}
	for _, l := range o.Licenses {
		slot := makegood.KeySlot{SessionID: session, Line: l.Line, Unit: l.Unit, Revision: l.Revision}
		if want := makegood.DeriveKey([]byte(demo.LicenseSecret), "GD", slot); l.Key != want || l.Status != makegood.LicenseActive {
			bad("licence %s is %s, want %s active", l.Key, l.Status, want)
		}
	}
	mails := w.Resend.Inbox(s.emails[session])
	if len(mails) != 1 {
		bad("%d mails, want 1", len(mails))
	}
	for _, m := range mails {
		for _, l := range o.Licenses {
			if !strings.Contains(m.Text, l.Key) {
				bad("the mail lacks key %s", l.Key)
			}
		}
	}
	entries, err := w.Store().AuditOf(ctx, o.ID)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, e := range entries {
		count[e.Action]++
	}
	if count["license.issued"] != len(o.Licenses) || count["step.owed"] != 1 {
		bad("audit says %v for %d licences (I2)", count, len(o.Licenses))
	}
	return errors.Join(errs...)
}
