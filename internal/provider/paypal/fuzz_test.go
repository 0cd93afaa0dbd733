package paypal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// FuzzIdentify reads any body: whatever comes of it can be stored, and never is of the other mode.
func FuzzIdentify(f *testing.F) {
	for _, body := range []string{"", "{}", "[", `{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"x"}}`, `{"id":"1","id":"2"}`, `{"id":"\u0000"}`} {
		f.Add([]byte(body))
	}
	s := stubbed(f, "http://127.0.0.1:1")
	f.Fuzz(func(t *testing.T, body []byte) {
		e := s.Identify(body)
		if e.ProviderID == "" || e.Source != "paypal" || e.Live || e.Account != "" {
			t.Errorf("Identify = %+v, want an id, our source and test mode", e)
		}
		for _, id := range []string{e.ProviderID, e.Type, e.ObjectID, e.APIVersion} {
			if len(id) > 255 || !utf8.ValidString(id) || strings.ContainsAny(id, " \r\n\x00") {
				t.Errorf("Identify gives %q, which cannot be stored", id)
			}
		}
	})
}

// FuzzInterpret reads any body, and any answer of the API to it. Whatever comes of it must be well formed, of our mode,
// storable, and must settle without a panic.
func FuzzInterpret(f *testing.F) {
	seed := stubbed(f, "http://127.0.0.1:1")
	for _, kind := range []string{"PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.REFUNDED", "CHECKOUT.ORDER.APPROVED", "CHECKOUT.PAYMENT-APPROVAL.REVERSED", "CUSTOMER.DISPUTE.RESOLVED", "PAYMENT.REFUND.FAILED"} {
		for _, answer := range []string{orderJSON(seed), captureJSON(seed), refundJSON, disputeJSON, "{}"} {
			for _, id := range []string{orderID, captureID, refundID, disputeID} {
				f.Add(kind, id, answer)
			}
		}
	}
	var answer string // the fuzzer runs its function one call at a time within a process
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/oauth2/token" {
			fmt.Fprint(w, `{"access_token":"T","expires_in":28800}`)
			return
		}
		fmt.Fprint(w, answer)
	}))
	f.Cleanup(server.Close)
	s := stubbed(f, server.URL)
	f.Fuzz(func(t *testing.T, kind, id, api string) {
		answer = api
		e := s.Identify(fmt.Appendf(nil, `{"id":"WH-1","event_type":%q,"resource":{"id":%q,"dispute_id":%q}}`, kind, id, id))
		if r, err := s.Interpret(t.Context(), e); err == nil {
			checkReading(t, r)
		}
		if r, err := s.Ask(t.Context(), id); err == nil {
			checkReading(t, r)
		}
	})
}

func checkReading(t *testing.T, r provider.Reading) {
	t.Helper()
	if (len(r.Facts) == 0) == (r.Note == "") {
		t.Errorf("%+v has neither facts nor a note, or both", r)
	}
	for _, fact := range r.Facts {
		if fact.Key.Source != "paypal" || fact.Key.Live || fact.Key.Account != "" || fact.Key.SessionID != r.Facts[0].Key.SessionID {
			t.Errorf("the key %+v is not one of ours", fact.Key)
		}
		if fact.Key.SessionID == "" && len(fact.Ways()) == 0 {
			t.Errorf("%+v has no way back to its order", fact)
		}
		if fact.ObjectID == "" || !utf8.ValidString(fact.Customer.Email+fact.Customer.Name) || strings.ContainsAny(fact.Customer.Email+fact.Customer.Name, "\r\n\x00") {
			t.Errorf("%+v cannot be stored or written to", fact)
		}
		if fact.Amount.Minor < 0 {
			t.Errorf("the amount %v is negative", fact.Amount)
		}
		o := &makegood.Order{ID: "ord1", Key: fact.Key}
		o.Learn(fact)
		settle(o)
	}
}

// Money never goes through a float: no file of the package may even name one.
func TestNoFloats(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"float64", "ParseFloat", ".Float()", ".Num"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s uses %s", file.Name(), word)
			}
		}
	}
}
