package recipe_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// sealedItem is an item with its signature, written here once more.
func sealedItem(item string, signed ...string) string {
	return strings.Replace(item, `"hmacSignature":"x"`, `"hmacSignature":"`+macBase64(keyOfHex(hexOld), strings.Join(signed, ":"))+`"`, 1)
}

var (
	sealedPaid   = sealedItem(adyenItem, "NC6HT9CRT65ZGN82", "", "Shop", "cart:1027", "2900", "USD", "AUTHORISATION", "true")
	sealedRefund = sealedItem(adyenRefund, "KHQC5N7G84BLNK43", "NC6HT9CRT65ZGN82", "Shop", "cart:1027", "900", "USD", "REFUND", "true")
)

func TestAdyenItems(t *testing.T) {
	t.Parallel()
	s := source(t, options("adyen", active(hexNew, hexOld)...))
	other := sealedItem(adyenItem, "NC6HT9CRT65ZGN82", "", "Shop", "cart", "1027", "2900", "USD", "AUTHORISATION", "true")
	for _, tt := range []struct {
		name, body string
		want       provider.Reason
	}{
		{"one", adyenItems(sealedPaid), ""},
		{"two", adyenItems(sealedPaid + "," + sealedRefund), ""},
		{"success as a boolean", adyenItems(swap(sealedPaid, `"success":"true"`, `"success":true`)), ""},
		{"no items", adyenItems(""), provider.ReasonMissing},
		{"nothing", "", provider.ReasonMissing},
		{"no JSON", "notificationItems", provider.ReasonMissing},
		{"one of two without a signature", adyenItems(sealedPaid + "," + swap(sealedRefund, "hmacSignature", "x")), provider.ReasonMissing},
		{"one of two forged", adyenItems(sealedPaid + "," + swap(sealedRefund, `"value":900`, `"value":901`)), provider.ReasonMismatch},
		{"the first of two forged", adyenItems(swap(sealedPaid, `"value":2900`, `"value":9999`) + "," + sealedRefund), provider.ReasonMismatch},
		{"something that is no item beside one", adyenItems(sealedPaid + `,{"x":1}`), provider.ReasonMalformed},
		{"the signature of another item", adyenItems(swap(sealedPaid, macOf(sealedPaid), macOf(sealedRefund))), provider.ReasonMismatch},
		{"a value with a point", adyenItems(swap(sealedPaid, `"value":2900`, `"value":2900.0`)), provider.ReasonMalformed},
		{"a value in quotes", adyenItems(swap(sealedPaid, `"value":2900`, `"value":"2900"`)), provider.ReasonMalformed},
		{"a negative value", adyenItems(swap(sealedPaid, `"value":2900`, `"value":-2900`)), provider.ReasonMalformed},
		{"a number for a reference", adyenItems(swap(sealedPaid, `"pspReference":"NC6HT9CRT65ZGN82"`, `"pspReference":7`)), provider.ReasonMalformed},
		// cart:1027 with its colon, whose border a forger moves into the neighbour: the joined text is the same.
		{"a moved border", adyenItems(swap(sealedPaid, `"merchantAccountCode":"Shop"`, `"merchantAccountCode":"Shop:cart"`, `"merchantReference":"cart:1027"`, `"merchantReference":"1027"`)), provider.ReasonMalformed},
		{"a field too many in the signature", adyenItems(other), ""},
		{"a hundred and one", adyenItems(strings.Repeat(sealedPaid+",", 100) + sealedPaid), provider.ReasonMalformed},
		{"items nested without end", strings.Repeat(`{"notificationItems":[`, 1000), provider.ReasonMissing},
	} {
		_, err := s.Verify(provider.Delivery{Header: http.Header{}, Body: []byte(tt.body), ReceivedAt: now})
		if reasonOf(err) != tt.want {
			t.Errorf("%s: Verify = %v, want reason %q", tt.name, err, tt.want)
		}
	}
	// Items of two keys are of no one key.
	mixed := adyenItems(sealedPaid + "," + strings.Replace(sealedRefund, macOf(sealedRefund), macBase64(keyOfHex(hexNew), "KHQC5N7G84BLNK43:NC6HT9CRT65ZGN82:Shop:cart:1027:900:USD:REFUND:true"), 1))
	if _, err := s.Verify(provider.Delivery{Body: []byte(mixed), ReceivedAt: now}); reasonOf(err) != provider.ReasonMismatch {
		t.Errorf("Verify of items under two keys = %v, want a mismatch", err)
	}
}

func macOf(item string) string {
	_, rest, _ := strings.Cut(item, `"hmacSignature":"`)
	sum, _, _ := strings.Cut(rest, `"`)
	return sum
}

// TestAdyenMutantsTellTheSame turns every bit of a sealed delivery. Where the mutant is still proved, because the bit is
// of something that Adyen does not sign, the facts of money and order are those of the original.
func TestAdyenMutantsTellTheSame(t *testing.T) {
	t.Parallel()
	s := source(t, options("adyen", active(hexOld)...))
	body := []byte(adyenItems(sealedPaid + "," + sealedRefund))
	want, err := s.Interpret(t.Context(), s.Identify(body))
	if err != nil || len(want.Facts) != 2 {
		t.Fatalf("Interpret = %+v, %v", want, err)
	}
	proved := 0
	ignore := cmpopts.IgnoreFields(makegood.Fact{}, "Customer", "Lines", "OccurredAt")
	for i := range body {
		for bit := range 8 {
			mutant := bytes.Clone(body)
			mutant[i] ^= 1 << bit
			if _, err := s.Verify(provider.Delivery{Body: mutant, ReceivedAt: now}); err != nil {
				continue
			}
			proved++
			got, err := s.Interpret(t.Context(), s.Identify(mutant))
			if diff := cmp.Diff(want.Facts, got.Facts, ignore); diff != "" && (err != nil || len(got.Facts) > 0) {
				t.Errorf("the mutant %d.%d is proved and tells something else:\n%s", i, bit, diff)
			}
		}
	}
	if proved == 0 {
		t.Error("no mutant was proved, so nothing was compared")
	}
}
