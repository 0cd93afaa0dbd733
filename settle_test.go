package makegood

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	noon      = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	someOrder = OrderKey{Source: "stripe", SessionID: "cs_test_1"}
	shelf     = Catalogue{
		"az-900": {Code: "az-900", Name: "AZ-900", Price: Money{2900, "usd"}, LicensePrefix: "GD", Stocked: true},
		"az-104": {Code: "az-104", Name: "AZ-104", Price: Money{3900, "usd"}, LicensePrefix: "GD"},
	}
)

func someTerms() Terms {
	n := 0
	return Terms{Catalogue: shelf, Effects: []string{EffectEmail}, Forwards: nil, Now: noon,
		DeriveKey: func(prefix string, slot KeySlot) (string, string) {
			return DeriveKey([]byte("secret"), prefix, slot), "k1"
		},
		KeyTaken: func(string) bool { return false },
		NewID:    func(prefix string) string { n++; return fmt.Sprintf("%s%d", prefix, n) }}
}

func aFact(kind FactKind, object string, minor int64) Fact {
	f := Fact{Key: someOrder, Kind: kind, ObjectID: object, Amount: Money{minor, "usd"}}
	if kind == FactPaid || kind == FactAwaiting {
		f.Customer = Customer{Email: "ann@example.com"}
		f.PaymentID, f.References = "pi_1", []string{"in_1", "sub_1"}
		f.Lines = []Line{{Product: "az-900", Quantity: 2, Subtotal: Money{5800, "usd"}},
			{Product: "az-104", Quantity: 1, Subtotal: Money{3900, "usd"}}}
	}
	return f
}

// everyFact is one of everything that can happen to a payment of 97.00 USD.
func everyFact() []Fact {
	return []Fact{
		aFact(FactAwaiting, "cs_test_1", 9700), aFact(FactPaid, "cs_test_1", 9700),
		aFact(FactFailed, "cs_test_1", 0), aFact(FactExpired, "cs_test_1", 0),
		aFact(FactRefunded, "re_1", 4000), aFact(FactRefunded, "re_2", 5700), aFact(FactRefunded, "re_3", 9700),
		aFact(FactRefundFailed, "re_1", 0), aFact(FactRefundFailed, "re_3", 0),
		aFact(FactDisputed, "dp_1", 9700), aFact(FactDisputeWon, "dp_1", 0),
		aFact(FactDisputed, "dp_2", 9700), aFact(FactDisputeLost, "dp_2", 0),
		aFact(FactDisputeWon, "dp_2", 0), // told both, a dispute counts as lost
		renewal("in_1", 9700, time.Hour), renewal("in_2", 9700, 2*time.Hour), ending("sub_1", 90*time.Minute),
	}
}

// renewal is an invoice that was paid; in_1 is the one that the sale itself was paid by.
func renewal(invoice string, minor int64, until time.Duration) Fact {
	f := aFact(FactRenewed, invoice, minor)
	f.Until = noon.Add(until)
	return f
}

func ending(subscription string, at time.Duration) Fact {
	f := aFact(FactEnded, subscription, 0)
	f.Until = noon.Add(at)
	return f
}

// verdict is what must not depend on the order of arrival. Licences that were never given and licences that were taken
// back are the same to the customer, and so are stock that never moved and stock that came back.
type outcome struct {
	Payment     PaymentState
	Fulfillment FulfillmentState
	Active      int
	Suspended   int
	Stock       int
	Expires     time.Time // of what is active or suspended
}

func outcomeOf(o *Order) outcome {
	v := outcome{Payment: o.Payment, Fulfillment: o.Fulfillment}
	for _, l := range o.Licenses {
		switch l.Status {
		case LicenseActive:
			v.Active++
			v.Expires = l.ExpiresAt
		case LicenseSuspended:
			v.Suspended++
			v.Expires = l.ExpiresAt
		}
	}
	for _, m := range o.Moves {
		v.Stock += m.Delta
	}
	return v
}

// oracle says what the set of facts must lead to under a policy of both products, written apart from Settle and from the
// definitions only.
func oracle(facts []Fact, policy Policy) outcome {
	has := func(kind FactKind, object string) bool {
		return slices.ContainsFunc(facts, func(f Fact) bool { return f.Kind == kind && (object == "" || f.ObjectID == object) })
	}
	if !has(FactPaid, "") {
		switch {
		case has(FactFailed, ""):
			return outcome{Payment: PaymentFailed, Fulfillment: Unfulfilled}
		case has(FactExpired, ""):
			return outcome{Payment: PaymentExpired, Fulfillment: Unfulfilled}
		}
		return outcome{Payment: PaymentPending, Fulfillment: Unfulfilled}
	}
	back := int64(0)
	for refund, minor := range map[string]int64{"re_1": 4000, "re_2": 5700, "re_3": 9700} {
		if has(FactRefunded, refund) && !has(FactRefundFailed, refund) {
			back += minor
		}
	}
	charged := int64(9700)
	if has(FactRenewed, "in_2") {
		charged += 9700
	}
	standing := func(what, usual Entitlement) Entitlement {
		if what == "" {
			return usual
		}
		return what
	}
	as := func(payment PaymentState, e Entitlement) outcome {
		o := outcome{Payment: payment}
		switch e {
		case EntitledFully:
			o.Fulfillment, o.Active, o.Stock = Fulfilled, 3, -2
		case EntitledOnHold:
			o.Suspended, o.Stock = 3, -2 // fulfilment: see the test
		case EntitledNoMore:
			o.Fulfillment = Revoked
			return o
		}
		switch {
		case has(FactEnded, ""):
			o.Expires = noon.Add(90 * time.Minute)
		case has(FactRenewed, "in_2"):
			o.Expires = noon.Add(2 * time.Hour).Add(policy.Grace)
		case has(FactRenewed, "in_1"):
			o.Expires = noon.Add(time.Hour).Add(policy.Grace)
		}
		return o
	}
	strict := map[Entitlement]int{EntitledFully: 0, EntitledOnHold: 1, EntitledNoMore: 2}
	partial := EntitledFully
	if back > 0 {
		partial = standing(policy.PartialRefund, EntitledFully)
	}
	disputed := func(e Entitlement) Entitlement {
		if strict[partial] > strict[e] {
			return partial
		}
		return e
	}
	lost, open := has(FactDisputeLost, "dp_2"), has(FactDisputed, "dp_1") && !has(FactDisputeWon, "dp_1") ||
		has(FactDisputed, "dp_2") && !has(FactDisputeLost, "dp_2") && !has(FactDisputeWon, "dp_2")
	switch {
	case back > 0 && back >= charged:
		return as(PaymentRefunded, EntitledNoMore)
	case lost:
		return as(PaymentDisputed, disputed(standing(policy.DisputeLost, EntitledNoMore)))
	case open:
		return as(PaymentDisputed, disputed(standing(policy.Dispute, EntitledOnHold)))
	case back > 0:
		return as(PaymentPartiallyRefunded, partial)
	}
	return as(PaymentPaid, EntitledFully)
}

// I1, I3, I4, I5: whatever arrives, in whatever order, however often, with the effects happening anywhere in between, the
// final state is that of the set of facts. Half of the samples have the provider's clock running with the arrivals, half
// against them.
func TestSettleDependsOnTheSetOfFactsOnly(t *testing.T) {
	t.Parallel()
	const samples = 120_000
	for sample := range uint64(samples) {
		random := rand.New(rand.NewPCG(sample, 7))
		var told []Fact
		for _, f := range everyFact() {
			for range random.IntN(3) { // not at all, once or twice
				told = append(told, f)
			}
		}
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		for i := range told {
			told[i].OccurredAt = noon.Add(time.Duration(i) * time.Second)
			if sample%2 == 1 {
				told[i].OccurredAt = noon.Add(-time.Duration(i) * time.Second)
			}
		}
		policy := Policy{PartialRefund: anEntitlement(random), Dispute: anEntitlement(random), DisputeLost: anEntitlement(random),
			KeepsGone: random.IntN(4) == 0, Grace: time.Duration(random.IntN(3)) * time.Minute}
		o := live(t, told, policy, random)
		got, want := outcomeOf(o), oracle(told, policy)
		if policy.KeepsGone && want.Fulfillment == Revoked && got.Stock == -2 {
			got.Stock = 0 // what left does not come back by itself; whether it left depends on when the money went back
		}
		checkTold(t, o)
		if want.Suspended > 0 {
			// While goods rest nothing new leaves; whether the mail left before depends on when they came to rest.
			want.Fulfillment = got.Fulfillment
			if got.Fulfillment != Fulfilled && got.Fulfillment != InProgress {
				t.Fatalf("sample %d: fulfilment during a dispute = %s", sample, got.Fulfillment)
			}
		}
		if got != want {
			t.Fatalf("sample %d: outcome of %v = %+v, want %+v", sample, kinds(told), got, want)
		}
	}
}

// anEntitlement is any of what a policy may say.
func anEntitlement(random *rand.Rand) Entitlement {
	return []Entitlement{"", EntitledFully, EntitledOnHold, EntitledNoMore}[random.IntN(4)]
}

// checkTold holds that the listener's last word is how the order stands, and that it heard everything in order.
func checkTold(t *testing.T, o *Order) {
	t.Helper()
	last, n := "", 0
	for _, step := range o.Steps {
		if IsTelling(step.Name) {
			n++
			last = step.Tells
			if step.Name != TellingStep("shop", n) || step.State != StepDone {
				t.Fatalf("telling %d is %s, %s", n, step.Name, step.State)
			}
		}
	}
	want := string(o.Payment) + "/" + string(o.Entitlement)
	if n > 0 && last != want && !strings.HasPrefix(last, want+"/") {
		t.Fatalf("the listener heard %q at last, and the order is %s", last, want)
	}
	if n == 0 && o.Entitlement == EntitledFully {
		t.Fatal("the listener never heard of a good order")
	}
}

// live lets an order learn the facts one by one, with its mail leaving, failing to leave or waiting at random moments, and
// checks on the way what must hold at every moment.
func live(t *testing.T, told []Fact, policy Policy, random *rand.Rand) *Order {
	t.Helper()
	o := &Order{ID: "ord1", Key: someOrder}
	terms := someTerms()
	terms.Forwards = []string{"shop"}
	terms.Catalogue = Catalogue{}
	for code, product := range shelf {
		product.Policy = policy
		terms.Catalogue[code] = product
	}
	for _, f := range told {
		o.Learn(f)
		o.Settle(terms)
		checkAlways(t, o)
		if random.IntN(3) == 0 {
			work(o, terms)
		}
	}
	work(o, terms)
	work(o, terms) // what the last change made necessary
	if entries := o.Settle(terms); len(entries) != 0 {
		t.Fatalf("settling again changed %v", entries)
	}
	return o
}

// work is the jobs: the mail leaves when the goods are due, and is withdrawn when they are not; tellings go in order.
func work(o *Order, terms Terms) {
	for i := range o.Steps {
		if name := o.Steps[i].Name; IsTelling(name) && o.Steps[i].State == StepOwed && !o.Waits(name) {
			o.Steps[i].Begin(noon)
			o.Done(name, "200", noon)
		}
	}
	o.Settle(terms)
	step := o.Step(EffectEmail)
	if step == nil || step.State != StepOwed {
		return
	}
	if o.Entitlement == EntitledFully {
		step.Begin(noon)
		o.Done(EffectEmail, "mail-1", noon)
	} else {
		o.Withdraw(EffectEmail)
	}
	o.Settle(terms)
}

func checkAlways(t *testing.T, o *Order) {
	t.Helper()
	slots := map[[3]int]bool{}
	for _, l := range o.Licenses {
		slot := [3]int{l.Line, l.Unit, l.Revision}
		if slots[slot] {
			t.Fatalf("two licences in slot %v (I1)", slot)
		}
		slots[slot] = true
	}
	if _, paid := o.fact(FactPaid); !paid && (len(o.Licenses) > 0 || len(o.Steps) > 0 || len(o.Moves) > 0) {
		t.Fatalf("something was released without a payment (I3)")
	}
	for i := range o.Steps {
		if o.Steps[i].JobWanted && !o.Due(o.Steps[i].Name) {
			t.Fatalf("a mail is to leave while the order is %s", o.Payment)
		}
		o.Steps[i].JobWanted = false // the store has enqueued it
	}
	balance := map[int]int{}
	causes := map[string]bool{}
	for _, m := range o.Moves {
		balance[m.Line] += m.Delta
		cause := fmt.Sprint(m.Line, m.Cause)
		if causes[cause] || balance[m.Line] > 0 || balance[m.Line] < -2 {
			t.Fatalf("stock moves %+v (I5)", o.Moves)
		}
		causes[cause] = true
	}
}

func kinds(facts []Fact) []string {
	var all []string
	for _, f := range facts {
		all = append(all, string(f.Kind)+" "+f.ObjectID)
	}
	return all
}

// E2, I4: tellings of one fact that differ join to the same set, whatever their order and repetition.
func TestLearnJoinsTellings(t *testing.T) {
	t.Parallel()
	a := aFact(FactPaid, "cs_test_1", 9700)
	noLines, otherName, noMail, otherAmount, otherLines, unknown := a, a, a, a, a, a
	unknown.Lines = slices.Clone(a.Lines) // a price that the catalogue did not have yet
	unknown.Lines[1].Product, unknown.Lines[1].Agreed = "", Money{3900, "usd"}
	noLines.Lines = nil
	otherName.Customer.Name = "Ann"
	noMail.Customer, noMail.PaymentID = Customer{}, ""
	otherAmount.Amount.Minor = 1
	otherLines.Lines = []Line{{Product: "az-104", Quantity: 1, Subtotal: Money{3900, "usd"}}}
	tellings := []Fact{a, noLines, otherName, noMail, otherAmount, otherLines, unknown}
	for mask := 1; mask < 1<<len(tellings); mask++ {
		var chosen []Fact
		for i, f := range tellings {
			if mask&(1<<i) != 0 {
				f.OccurredAt = noon.Add(time.Duration(i) * time.Second)
				chosen = append(chosen, f)
			}
		}
		var first *Order
		for sample := range uint64(20) {
			random := rand.New(rand.NewPCG(sample, uint64(mask)))
			told := append(slices.Clone(chosen), chosen[random.IntN(len(chosen))])
			random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
			o := &Order{Key: someOrder}
			for _, f := range told {
				o.Learn(f)
			}
			if first == nil {
				first = o
			} else if !first.Facts[0].equal(o.Facts[0]) {
				t.Fatalf("tellings %b joined to %+v and to %+v", mask, first.Facts[0], o.Facts[0])
			}
		}
		amounts := map[Money]bool{}
		for _, f := range chosen {
			amounts[f.Amount] = true
		}
		// otherLines contradicts every telling that knows the lines.
		knowing := 0
		for _, f := range chosen {
			if len(f.Lines) == 2 {
				knowing++
			}
		}
		want := len(amounts) > 1 || mask&(1<<5) != 0 && knowing > 0
		if got := first.Facts[0].Contradicted; got != want {
			t.Errorf("tellings %06b: contradicted = %v, want %v", mask, got, want)
		}
	}
}

func TestLearnOfAnotherOrder(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*OrderKey){
		func(k *OrderKey) { k.Live = true }, // I7
		func(k *OrderKey) { k.Account = "acct_2" },
		func(k *OrderKey) { k.Source = "paypal" },
		func(k *OrderKey) { k.SessionID = "cs_test_2" },
	} {
		f := aFact(FactPaid, "cs_test_1", 9700)
		change(&f.Key)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Learn of a fact of %+v did not panic", f.Key)
				}
			}()
			(&Order{Key: someOrder}).Learn(f)
		}()
	}
}

// I3: a payment about which anything is in doubt releases nothing and says why.
func TestSettleDoubt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Fact)
		want   string
	}{
		{"all well", func(f *Fact) {}, ""},
		{"unknown product", func(f *Fact) { f.Lines[0].Product = "az-9OO" }, ReasonUnknownProduct},
		{"product not told", func(f *Fact) { f.Lines[0].Product = "" }, ReasonUnknownProduct},
		{"paid too little", func(f *Fact) { f.Lines[0].Subtotal.Minor-- }, ReasonAmountMismatch},
		{"paid too much", func(f *Fact) { f.Lines[0].Subtotal.Minor++ }, ReasonAmountMismatch},
		{"another currency", func(f *Fact) { f.Lines[0].Subtotal.Currency = "jpy" }, ReasonAmountMismatch},
		{"charged in another currency", func(f *Fact) { f.Amount.Currency = "jpy" }, ReasonAmountMismatch},
		{"discounted", func(f *Fact) { f.Amount.Minor = 100 }, ""},
		{"agreed price", func(f *Fact) { f.Lines[1].Agreed = Money{3000, "usd"}; f.Lines[1].Subtotal.Minor = 3000 }, ""},
		{"not the agreed price", func(f *Fact) { f.Lines[1].Agreed = Money{3000, "usd"} }, ReasonAmountMismatch},
		{"nothing bought", func(f *Fact) { f.Lines = nil }, ReasonNothingBought},
		{"no quantity", func(f *Fact) { f.Lines[0].Quantity = 0 }, ReasonTooLarge},
		{"absurd quantity", func(f *Fact) { f.Lines[0].Quantity = QuantityMax + 1 }, ReasonTooLarge},
		{"absurd lines", func(f *Fact) { f.Lines = make([]Line, LinesMax+1) }, ReasonTooLarge},
		{"contradicted", func(f *Fact) { f.Contradicted = true }, ReasonContradiction},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := aFact(FactPaid, "cs_test_1", 9700)
			tt.change(&f)
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(f)
			o.Settle(someTerms())
			if o.Reason != tt.want || (o.Fulfillment == Stuck) != (tt.want != "") || (len(o.Licenses) == 0) != (tt.want != "") {
				t.Errorf("order = %s %q with %d licences, want reason %q", o.Fulfillment, o.Reason, len(o.Licenses), tt.want)
			}
		})
	}
}

// A stuck order is made good by settling it again once the cause is gone.
func TestSettleAfterRepair(t *testing.T) {
	t.Parallel()
	o := &Order{ID: "ord1", Key: someOrder}
	o.Learn(aFact(FactPaid, "cs_test_1", 9700))
	terms := someTerms()
	terms.Catalogue = Catalogue{}
	if o.Settle(terms); o.Fulfillment != Stuck {
		t.Fatalf("order without a catalogue = %s, want stuck", o.Fulfillment)
	}
	if o.Settle(someTerms()); o.Fulfillment != InProgress || len(o.Licenses) != 3 {
		t.Errorf("order after the repair = %s with %d licences, want in_progress with 3", o.Fulfillment, len(o.Licenses))
	}
}

func TestSettleWithoutAddress(t *testing.T) {
	t.Parallel()
	f := aFact(FactPaid, "cs_test_1", 9700)
	f.Customer = Customer{}
	o := &Order{ID: "ord1", Key: someOrder}
	o.Learn(f)
	o.Settle(someTerms())
	if o.Fulfillment != Fulfilled || o.Reason != ReasonNoAddress || len(o.Licenses) != 3 || len(o.Steps) != 0 {
		t.Errorf("order = %s %q, %d licences, %d steps, want fulfilled on the page only", o.Fulfillment, o.Reason, len(o.Licenses), len(o.Steps))
	}
}

// A key that another order has makes this one take the next revision.
func TestSettleKeyTaken(t *testing.T) {
	t.Parallel()
	terms := someTerms()
	taken := DeriveKey([]byte("secret"), "GD", KeySlot{SessionID: someOrder.SessionID})
	terms.KeyTaken = func(key string) bool { return key == taken }
	o := &Order{ID: "ord1", Key: someOrder}
	o.Learn(aFact(FactPaid, "cs_test_1", 9700))
	o.Settle(terms)
	if l := o.Licenses[0]; l.Key == taken || l.Revision != 1 {
		t.Errorf("first licence = revision %d, taken key: %v, want revision 1 and another key", l.Revision, l.Key == taken)
	}
}

// A key recorded earlier is kept, whatever the secret and the prefix are by now.
func TestSettleKeepsIssuedKeys(t *testing.T) {
	t.Parallel()
	o := &Order{ID: "ord1", Key: someOrder}
	o.Learn(aFact(FactPaid, "cs_test_1", 9700))
	o.Settle(someTerms())
	before := slices.Clone(o.Licenses)
	terms := someTerms()
	terms.DeriveKey = func(prefix string, slot KeySlot) (string, string) {
		return DeriveKey([]byte("rotated"), prefix, slot), "k2"
	}
	o.Learn(aFact(FactRefunded, "re_3", 9700))
	o.Settle(terms)
	o.Learn(aFact(FactRefundFailed, "re_3", 0))
	o.Settle(terms)
	if !slices.Equal(before, o.Licenses) {
		t.Errorf("licences after a rotation = %+v, want %+v", o.Licenses, before)
	}
}

func TestStepDoubt(t *testing.T) {
	t.Parallel()
	o := &Order{Steps: []Step{{Name: EffectEmail, State: StepOwed}}}
	step := o.Step(EffectEmail)
	step.Begin(noon)
	if step.InDoubt || !step.UncertainSince.Equal(noon) {
		t.Errorf("first attempt: %+v, want no doubt about an earlier one", step)
	}
	o.Missed(EffectEmail, "refused", true)
	if !step.UncertainSince.IsZero() || step.LastError != "refused" {
		t.Errorf("after a definite failure: %+v, want no doubt", step)
	}
	step.Begin(noon.Add(time.Hour))
	o.Missed(EffectEmail, "timed out", false)
	step.Begin(noon.Add(2 * time.Hour))
	if !step.InDoubt || !step.UncertainSince.Equal(noon.Add(time.Hour)) || step.Attempts != 3 {
		t.Errorf("after a time-out: %+v, want doubt since then", step)
	}
	if !o.Done(EffectEmail, "mail-1", noon) || o.Done(EffectEmail, "mail-2", noon) || step.Receipt != "mail-1" {
		t.Errorf("done twice: %+v, want the first receipt", step)
	}
	if o.Fail(EffectEmail, "late") || o.Withdraw(EffectEmail) || step.State != StepDone {
		t.Errorf("a done step changed: %+v", step)
	}
}

// Goods that do not come back by themselves stay gone when the licence is revoked, and come back into no stock.
func TestSettleKeepsGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		keepsGone bool
		want      int
	}{{false, 0}, {true, -2}} {
		terms := someTerms()
		product := shelf["az-900"]
		product.Policy.KeepsGone = tt.keepsGone
		terms.Catalogue = Catalogue{"az-900": product, "az-104": shelf["az-104"]}
		o := &Order{ID: "ord1", Key: someOrder}
		for _, f := range []Fact{aFact(FactPaid, "cs_test_1", 9700), aFact(FactRefunded, "re_3", 9700), aFact(FactPaid, "cs_test_1", 9700)} {
			o.Learn(f)
			o.Settle(terms)
		}
		if got := outcomeOf(o); got.Stock != tt.want || got.Active != 0 {
			t.Errorf("keeps gone %v: %+v, want a stock of %d", tt.keepsGone, got, tt.want)
		}
	}
}

// What a listener hears of one order, it hears in order; what was given up holds up nothing, and nobody waits for another
// listener.
func TestTellingsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	o := &Order{ID: "ord1", Key: someOrder}
	terms := someTerms()
	terms.Forwards = []string{"shop", "erp"}
	o.Learn(aFact(FactPaid, "cs_test_1", 9700))
	o.Settle(terms)
	o.Learn(aFact(FactRefunded, "re_3", 9700))
	o.Settle(terms)
	waits := func(want map[string]bool) {
		t.Helper()
		for step, want := range want {
			if got := o.Waits(step); got != want {
				t.Errorf("Waits(%s) = %v, want %v", step, got, want)
			}
		}
	}
	waits(map[string]bool{"forward:shop": false, "forward:shop:2": true, "forward:erp": false, "forward:erp:2": true, EffectEmail: false, "forward:nobody": false})
	o.Done("forward:shop", "200", noon)
	waits(map[string]bool{"forward:shop:2": false, "forward:erp:2": true})
	o.Fail("forward:erp", "gone")
	waits(map[string]bool{"forward:erp:2": false})
	if got := EffectOf("forward:shop:12"); got != "forward:shop" || TellingOrdinal("forward:shop:12") != 12 || TellingOrdinal("forward:shop") != 1 {
		t.Errorf("EffectOf = %q, ordinals %d and %d", got, TellingOrdinal("forward:shop:12"), TellingOrdinal("forward:shop"))
	}
}

// Again is safe to ask twice at once, keeps the caution of an attempt of which nobody knows, and gives it up when asked to.
func TestStepAgain(t *testing.T) {
	t.Parallel()
	uncertain := noon.Add(-time.Hour)
	for _, tt := range []struct {
		state     StepState
		anew      bool
		again     bool
		round     int
		uncertain time.Time
	}{
		{StepFailed, false, true, 0, uncertain},
		{StepFailed, true, true, 1, time.Time{}},
		{StepDone, false, true, 1, time.Time{}},
		{StepOwed, false, false, 0, uncertain},
		{StepWithdrawn, true, false, 0, uncertain},
	} {
		o := &Order{Steps: []Step{{Name: EffectEmail, State: tt.state, UncertainSince: uncertain}}}
		again := o.Again(EffectEmail, tt.anew, noon)
		s := o.Step(EffectEmail)
		if again != tt.again || s.Round != tt.round || !s.UncertainSince.Equal(tt.uncertain) || s.JobWanted != tt.again {
			t.Errorf("Again of a %s step, anew %v = %v, %+v", tt.state, tt.anew, again, *s)
		}
		if o.Again(EffectEmail, tt.anew, noon) {
			t.Errorf("Again of a %s step twice = true", tt.state)
		}
	}
	if new(Order).Again("nothing", true, noon) {
		t.Error("Again of a step that is not there = true")
	}
}

// An order that was fulfilled stays so while its mail is sent once more.
func TestSettleAgainStaysFulfilled(t *testing.T) {
	t.Parallel()
	o := &Order{ID: "ord1", Key: someOrder}
	o.Learn(aFact(FactPaid, "cs_test_1", 9700))
	o.Settle(someTerms())
	o.Done(EffectEmail, "mail-1", noon)
	o.Settle(someTerms())
	o.Again(EffectEmail, false, noon)
	if o.Settle(someTerms()); o.Fulfillment != Fulfilled {
		t.Errorf("while the mail is sent again the order is %s, want fulfilled", o.Fulfillment)
	}
}

// What is told later, what is not configured any more and what a person discarded holds no order back; what was never done
// does, however often it was asked for.
func TestSettleWhatHoldsAnOrderBack(t *testing.T) {
	t.Parallel()
	fulfilled := func(terms Terms) *Order {
		o := &Order{ID: "ord1", Key: someOrder}
		o.Learn(aFact(FactPaid, "cs_test_1", 9700))
		o.Settle(terms)
		for _, step := range []string{EffectEmail, "forward:shop"} {
			o.Done(step, "done", noon)
		}
		o.Settle(terms)
		return o
	}
	told := someTerms()
	told.Forwards = []string{"shop"}
	for _, tt := range []struct {
		name   string
		order  func() *Order
		terms  Terms
		want   FulfillmentState
		reason string
	}{
		{"a later telling that was given up", func() *Order {
			o := fulfilled(told)
			o.Learn(aFact(FactRefunded, "re_1", 4000))
			o.Settle(told)
			o.Fail("forward:shop:2", "gone")
			return o
		}, told, Fulfilled, ""},
		{"a destination that is not configured any more", func() *Order {
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(aFact(FactPaid, "cs_test_1", 9700))
			o.Settle(told)
			o.Done(EffectEmail, "mail-1", noon)
			o.Fail("forward:shop", "gone")
			return o
		}, someTerms(), Fulfilled, ""},
		{"a first telling that was given up", func() *Order {
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(aFact(FactPaid, "cs_test_1", 9700))
			o.Settle(told)
			o.Done(EffectEmail, "mail-1", noon)
			o.Fail("forward:shop", "gone")
			return o
		}, told, Stuck, ReasonStepFailed},
		{"a mail that was discarded", func() *Order {
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(aFact(FactPaid, "cs_test_1", 9700))
			o.Settle(someTerms())
			o.Fail(EffectEmail, "no such address")
			o.Discard(EffectEmail)
			return o
		}, someTerms(), Fulfilled, ReasonStepDiscarded},
		{"a mail that is tried anew and never left", func() *Order {
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(aFact(FactPaid, "cs_test_1", 9700))
			o.Settle(someTerms())
			o.Fail(EffectEmail, "in doubt")
			o.Again(EffectEmail, true, noon)
			return o
		}, someTerms(), InProgress, ""},
		{"a destination that was away and is back", func() *Order {
			o := &Order{ID: "ord1", Key: someOrder}
			o.Learn(aFact(FactPaid, "cs_test_1", 9700))
			o.Settle(told)
			o.Done(EffectEmail, "mail-1", noon)
			o.Withdraw("forward:shop")
			o.Settle(someTerms())
			return o
		}, told, Fulfilled, ""},
		{"a destination that came later", func() *Order { return fulfilled(someTerms()) }, told, Fulfilled, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.order()
			o.Settle(tt.terms)
			if o.Fulfillment != tt.want || o.Reason != tt.reason {
				t.Errorf("order = %s %q, want %s %q", o.Fulfillment, o.Reason, tt.want, tt.reason)
			}
			if tt.name == "a destination that came later" && o.Step("forward:shop") != nil {
				t.Error("an order that was fulfilled before is told to a new destination")
			}
		})
	}
}

// Without an address and without a page nobody has the goods, unless the owner's application hears of them.
func TestSettleWithoutAddressOrPage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		noPage   bool
		forwards []string
		want     FulfillmentState
	}{{false, nil, Fulfilled}, {true, nil, Stuck}, {true, []string{"shop"}, Fulfilled}} {
		f := aFact(FactPaid, "cs_test_1", 9700)
		f.Customer = Customer{}
		terms := someTerms()
		terms.Forwards, terms.NoPage = tt.forwards, func(string) bool { return tt.noPage }
		o := &Order{ID: "ord1", Key: someOrder}
		o.Learn(f)
		o.Settle(terms)
		o.Done("forward:shop", "200", noon)
		o.Settle(terms)
		if o.Fulfillment != tt.want || o.Reason != ReasonNoAddress {
			t.Errorf("no page %v, forwards %v: %s %q, want %s", tt.noPage, tt.forwards, o.Fulfillment, o.Reason, tt.want)
		}
	}
}

// A listener hears of each licence: under mixed policies one may be revoked while the best of them stays as it was.
func TestTellingsNameEachLicence(t *testing.T) {
	t.Parallel()
	terms := someTerms()
	kept := shelf["az-104"]
	kept.Policy = Policy{Dispute: EntitledFully, DisputeLost: EntitledFully}
	terms.Catalogue = Catalogue{"az-900": shelf["az-900"], "az-104": kept}
	terms.Forwards = []string{"shop"}
	o := &Order{ID: "ord1", Key: someOrder}
	for _, f := range []Fact{aFact(FactPaid, "cs_test_1", 9700), aFact(FactDisputed, "dp_2", 9700), aFact(FactDisputeLost, "dp_2", 0)} {
		o.Learn(f)
		o.Settle(terms)
	}
	if n := len(o.Steps); n != 4 || o.Entitlement != EntitledFully {
		t.Errorf("steps = %+v, entitlement %s, want a mail and three tellings of an active order", o.Steps, o.Entitlement)
	}
}
