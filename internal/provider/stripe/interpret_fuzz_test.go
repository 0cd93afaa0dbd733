package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// FuzzInterpret reads any body, and any answer of the API to it. Whatever comes of it must be well formed, of our mode,
// storable, and must settle without a panic.
func FuzzInterpret(f *testing.F) {
	for _, tt := range bodies {
		f.Add(tt.body, tt.api)
		for _, answer := range tt.answers {
			f.Add(tt.body, answer)
		}
	}
	var answer string // the fuzzer runs its function one call at a time within a process
	a := newFuzzAPI(f, &answer)
	s := newStripe(f, a.URL, nil)
	f.Fuzz(func(t *testing.T, body, api string) {
		answer = api
		got, err := interpret(t.Context(), s, body)
		if err == nil {
			checkReading(t, got)
		}
		if asked, err := s.Ask(t.Context(), "cs_test_x"); err == nil {
			checkReading(t, asked)
		}
	})
}

// FuzzRepair asks for what was not delivered and for what somebody quotes, and gets any answer. Both must end, and give
// only what can be used.
func FuzzRepair(f *testing.F) {
	for _, tt := range bodies {
		for _, answer := range tt.answers {
			f.Add("pi_x", answer)
			f.Add("ann@example.com", answer)
		}
	}
	f.Add("ch_x", `{"object":"list","has_more":true,"data":[{"id":"evt_1"}]}`)
	f.Add("cs_test_x", apiSession)
	var answer string
	a := newFuzzAPI(f, &answer)
	s := newStripe(f, a.URL, nil)
	f.Fuzz(func(t *testing.T, quoted, api string) {
		answer = api
		ids, err := s.Find(t.Context(), quoted)
		if len(ids) > makegood.ListMax || err != nil && len(ids) > 0 {
			t.Errorf("Find(%q) = %d ids and %v", quoted, len(ids), err)
		}
		n := 0
		for body, err := range s.Undelivered(t.Context(), time.Time{}) {
			if (err == nil) == (body == nil) {
				t.Errorf("Undelivered yields %q and %v, want one of them", body, err)
			}
			if n++; n > 1<<20 {
				t.Fatal("Undelivered does not end")
			}
		}
	})
}

func newFuzzAPI(f *testing.F, answer *string) *api {
	a := &api{answers: map[string]http.HandlerFunc{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, *answer) }))
	f.Cleanup(a.Close)
	return a
}

func checkReading(t *testing.T, r provider.Reading) {
	t.Helper()
	if (len(r.Facts) == 0) == (r.Note == "") {
		t.Errorf("%+v has neither facts nor a note, or both", r)
	}
	for _, fact := range r.Facts {
		if fact.Key.Source != "stripe" || fact.Key.Live || fact.Key.Account != "" || fact.Key != r.Facts[0].Key || fact.ObjectID == "" {
			t.Errorf("the key %+v is not one of ours, or %q is no object", fact.Key, fact.ObjectID)
		}
		if isSale(fact.Kind) && fact.Key.SessionID != fact.ObjectID || !isSale(fact.Kind) && (fact.Key.SessionID != "" || len(fact.Ways()) == 0) {
			t.Errorf("the fact %+v has no way to its order", fact)
		}
		if !slices.IsSorted(fact.References) || slices.Contains(fact.References, "") {
			t.Errorf("the references %q are no sorted set", fact.References)
		}
		if !utf8.ValidString(fact.Customer.Email+fact.Customer.Name) || strings.ContainsAny(fact.Customer.Email+fact.Customer.Name, "\r\n\x00") {
			t.Errorf("the customer %q cannot be stored or written to", fact.Customer)
		}
		if fact.Amount.Minor < 0 {
			t.Errorf("the amount %v is negative", fact.Amount)
		}
		settle(fact)
	}
}

// isSale reports whether a fact is one of a session.
func isSale(kind makegood.FactKind) bool {
	return slices.Contains([]makegood.FactKind{makegood.FactPaid, makegood.FactAwaiting, makegood.FactFailed, makegood.FactExpired}, kind)
}

// settle does what follows in the house, which must not panic whatever the facts say.
func settle(facts ...makegood.Fact) makegood.Order {
	n := 0
	o := makegood.Order{ID: "ord1", Key: facts[0].Key}
	for _, f := range facts {
		o.Learn(f)
	}
	o.Settle(makegood.Terms{
		Catalogue: catalogue, Now: time.Unix(0, 0),
		DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
			return makegood.DeriveKey([]byte("0123456789abcdef"), prefix, slot), "k1"
		},
		KeyTaken: func(string) bool { return false },
		NewID:    func(prefix string) string { n++; return fmt.Sprint(prefix, n) },
	})
	return o
}
