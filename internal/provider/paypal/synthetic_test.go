package paypal_test

import (
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/paypal"
)

// Only our own checkout says that an order is synthetic: a buyer's browser can write any custom_id, and must not hide a sale.
func TestIsSynthetic(t *testing.T) {
	t.Parallel()
	s := stubbed(t, "http://127.0.0.1:1")
	price := makegood.Money{Minor: 2900, Currency: "usd"}
	ours := paypal.CustomID(s, "az-900", 1, price, true)
	for _, tt := range []struct {
		name, customID string
		want           bool
	}{
		{"ours", ours, true},
		{"a customer's", paypal.CustomID(s, "az-900", 1, price, false), false},
		{"a customer's, made synthetic", strings.Replace(paypal.CustomID(s, "az-900", 1, price, false), "mg1.", "mg1s.", 1), false},
		{"of another price", strings.Replace(ours, "2900", "2901", 1), false},
		{"without a tag", "mg1s.az-900.1.2900.usd.", false},
		{"nothing", "", false},
	} {
		if got := paypal.IsSynthetic(s, tt.customID); got != tt.want {
			t.Errorf("%s: synthetic = %v, want %v", tt.name, got, tt.want)
		}
	}
}
