package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
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
		if fact.Key.Source != "stripe" || fact.Key.Live || fact.Key.Account != "" || fact.Key.SessionID == "" || fact.Key.SessionID != fact.ObjectID {
			t.Errorf("the key %+v is not one of ours", fact.Key)
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

// settle does what follows in the house, which must not panic whatever the fact says.
func settle(f makegood.Fact) {
	n := 0
	o := makegood.Order{ID: "ord1", Key: f.Key}
	o.Learn(f)
	o.Settle(makegood.Terms{
		Catalogue: catalogue, Now: time.Unix(0, 0),
		DeriveKey: func(prefix string, slot makegood.KeySlot) (string, string) {
			return makegood.DeriveKey([]byte("0123456789abcdef"), prefix, slot), "k1"
		},
		KeyTaken: func(string) bool { return false },
		NewID:    func(prefix string) string { n++; return fmt.Sprint(prefix, n) },
	})
}
