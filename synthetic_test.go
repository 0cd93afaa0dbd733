package makegood

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is told of a synthetic order, in whatever order, with the mark in any one of its facts: in the end it has given
// nothing, nobody hears of it, and money that is there waits for a person.
func TestSyntheticOrderGivesNothing(t *testing.T) {
	t.Parallel()
	const samples = 30_000
	for sample := range uint64(samples) {
		random := rand.New(rand.NewPCG(sample, 11))
		var told []Fact
		for _, f := range everyFact() {
			for range random.IntN(3) {
				told = append(told, f)
			}
		}
		if len(told) == 0 {
			continue
		}
		told[random.IntN(len(told))].Synthetic = true
		random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		terms := someTerms()
		terms.Forwards = []string{"erp"}
		o := &Order{ID: "ord1", Key: someOrder, Payment: PaymentPending, Fulfillment: Unfulfilled}
		for _, f := range told {
			wasSynthetic, steps := o.Synthetic, len(o.Steps)
			o.Learn(f)
			o.Settle(terms)
			if o.Synthetic && wasSynthetic && len(o.Steps) > steps {
				t.Fatalf("sample %d: a synthetic order owes %+v", sample, o.Steps[steps:])
			}
		}
		if !o.Synthetic {
			t.Fatalf("sample %d: one fact says synthetic, and the order does not", sample)
		}
		if again := o.Settle(terms); len(again) > 0 {
			t.Fatalf("sample %d: settling again changed %v", sample, again)
		}
		got := outcomeOf(o)
		want := outcome{Payment: got.Payment, Fulfillment: Unfulfilled}
		switch {
		case got.Payment == PaymentRefunded, got.Payment == PaymentDisputed && add(o.Facts).lost:
			want.Fulfillment = Revoked
		case slices.Contains([]PaymentState{PaymentPaid, PaymentPartiallyRefunded, PaymentDisputed}, got.Payment):
			want.Fulfillment = Stuck
		}
		if got != want || (o.Reason == ReasonSyntheticPaid) != (want.Fulfillment == Stuck) {
			t.Fatalf("sample %d: %v = %+v %q, want %+v", sample, kinds(told), got, o.Reason, want)
		}
		for _, step := range o.Steps {
			if o.Due(step.Name) {
				t.Fatalf("sample %d: %s may leave", sample, step.Name)
			}
		}
	}
}

func TestSyntheticJoins(t *testing.T) {
	t.Parallel()
	plain, marked := aFact(FactPaid, "cs_test_1", 9700), aFact(FactPaid, "cs_test_1", 9700)
	marked.Synthetic = true
	for _, joined := range []Fact{plain.join(marked), marked.join(plain), marked.join(marked)} {
		if !joined.Synthetic || joined.Contradicted {
			t.Errorf("joined = %+v, want synthetic and no contradiction", joined)
		}
	}
	o := Order{Key: someOrder}
	if !o.Learn(plain) || !o.Learn(marked) || o.Learn(plain) {
		t.Error("the mark is news once")
	}
	if plain.join(plain).Synthetic || !o.Synthetic {
		t.Error("a mark came from nowhere, or was lost")
	}
}
