package store_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// A synthetic order is kept as such, with its facts, and stands in no listing unless it is asked for, or is stuck.
func TestSyntheticOrders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		tell := func(session string, kind makegood.FactKind, isSynthetic bool) makegood.Order {
			t.Helper()
			f := paid()
			f.Key.SessionID, f.ObjectID, f.PaymentID, f.Kind, f.Synthetic = session, session, "", kind, isSynthetic
			o, err := s.AmendOrder(t.Context(), makegood.Amendment{Key: f.Key, Actor: "test", Change: learn(f)})
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		bought, expired, stuck := tell("cs_1", makegood.FactPaid, false), tell("cs_2", makegood.FactExpired, true), tell("cs_3", makegood.FactPaid, true)
		if stuck.Fulfillment != makegood.Stuck || stuck.Reason != makegood.ReasonSyntheticPaid || len(stuck.Licenses)+len(stuck.Steps)+len(stuck.Moves) > 0 {
			t.Errorf("paid = %+v, want it stuck with nothing given", stuck)
		}
		kept, err := s.Order(t.Context(), expired.ID)
		if err != nil || !kept.Synthetic || !kept.Facts[0].Synthetic {
			t.Errorf("kept = %+v, %v, want a synthetic order of a synthetic fact", kept, err)
		}
		for _, tt := range []struct {
			name   string
			filter store.OrderFilter
			want   []string
		}{
			{"what customers bought", store.OrderFilter{}, []string{bought.ID}},
			{"with the synthetic ones", store.OrderFilter{Synthetic: true}, []string{stuck.ID, expired.ID, bought.ID}},
			{"what is stuck", store.OrderFilter{Fulfillment: makegood.Stuck}, []string{stuck.ID}},
			{"what is expired", store.OrderFilter{Payment: makegood.PaymentExpired}, nil},
			{"what is expired, all of it", store.OrderFilter{Payment: makegood.PaymentExpired, Synthetic: true}, []string{expired.ID}},
		} {
			orders, err := s.Orders(t.Context(), tt.filter)
			var got []string
			for _, o := range orders {
				got = append(got, o.ID)
			}
			slices.Sort(got) // made in one microsecond, they have no order
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%s (-want +got, %v):\n%s", tt.name, err, diff)
			}
		}
	})
}

// An order that turns out to be synthetic after its mail was owed: the mail does not leave, and what was given is taken back.
func TestSyntheticLearnedLate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, store.Options{})
		change := makegood.Amendment{Key: key, Actor: "test", Change: learn(paid())}
		o, err := s.AmendOrder(t.Context(), change)
		if err != nil || len(o.Licenses) == 0 {
			t.Fatalf("sold = %+v, %v", o, err)
		}
		late := paid()
		late.Synthetic = true
		// A message that is made before the mark is learned must not leave after it.
		_, step, err := s.Intend(t.Context(), o.ID, makegood.EffectEmail, settle, func(makegood.Order) ([]byte, error) {
			change.Change = learn(late)
			_, err := s.AmendOrder(t.Context(), change)
			return []byte("a mail"), err
		})
		if err != nil || step.State != makegood.StepWithdrawn {
			t.Errorf("step = %+v, %v, want the mail withdrawn", step, err)
		}
		o, err = s.Order(t.Context(), o.ID)
		if err != nil || !o.Synthetic || o.Fulfillment != makegood.Stuck || o.Licenses[0].Status != makegood.LicenseRevoked {
			t.Errorf("order = %+v, %v, want it stuck with its licences revoked", o, err)
		}
	})
}
