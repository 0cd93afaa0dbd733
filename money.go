package makegood

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount in the minor unit of its currency: 2900 "usd" is 29 dollars, 2900 "jpy" is 2,900 yen. It is never a
// float. The currency is a lower-case ISO 4217 code.
type Money struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

// exponents lists the currencies whose minor unit is not a hundredth, by ISO 4217 as Stripe documents it.
var exponents = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0, "pyg": 0, "rwf": 0, "ugx": 0,
	"vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// CurrencyDigits is how many digits stand after the point in amounts of a currency: 2 for dollars, 0 for yen. It is 2 for
// a currency that is not known.
func CurrencyDigits(currency string) int { return exponent(currency) }

func exponent(currency string) int {
	if e, ok := exponents[currency]; ok {
		return e
	}
	return 2
}

// String shows the amount for people: "29.00 USD", "2900 JPY".
func (m Money) String() string {
	e := exponent(m.Currency)
	digits := strconv.FormatInt(m.Minor, 10)
	sign := ""
	if m.Minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if e > 0 {
		for len(digits) <= e {
			digits = "0" + digits
		}
		digits = digits[:len(digits)-e] + "." + digits[len(digits)-e:]
	}
	return sign + digits + " " + strings.ToUpper(m.Currency)
}

// Times returns the amount n times over. The second result is false when it does not fit.
func (m Money) Times(n int) (Money, bool) {
	if n < 0 || m.Minor < 0 || (n > 0 && m.Minor > math.MaxInt64/int64(n)) {
		return Money{}, false
	}
	return Money{m.Minor * int64(n), m.Currency}, true
}

// ParseMoney reads "29.00 USD" or "2900 jpy". Digits after the point must be exactly those of the currency or absent.
func ParseMoney(s string) (Money, error) {
	number, currency, ok := strings.Cut(strings.TrimSpace(s), " ")
	currency = strings.ToLower(strings.TrimSpace(currency))
	if !ok || !isCurrency(currency) {
		return Money{}, fmt.Errorf("%q is not an amount with a currency, such as \"29.00 USD\"", s)
	}
	whole, fraction, hasPoint := strings.Cut(number, ".")
	e := exponent(currency)
	if hasPoint && len(fraction) != e || !allDigits(whole) || (hasPoint && !allDigits(fraction)) {
		return Money{}, fmt.Errorf("%q is not an amount of %s: it has %d digits after the point", s, strings.ToUpper(currency), e)
	}
	if !hasPoint {
		fraction = strings.Repeat("0", e)
	}
	minor, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return Money{}, fmt.Errorf("%q is too large an amount", s)
	}
	return Money{minor, currency}, nil
}

func isCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for _, c := range s {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

func allDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
