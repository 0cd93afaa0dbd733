package extract

import (
	"encoding/json"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
)

// Form reads a body of application/x-www-form-urlencoded as an object of strings, so that the same paths find a field in
// a form and in JSON. Of a field that is there several times the first counts; what cannot be decoded is left out. A body
// without any field is no form.
func Form(body []byte) (gjson.Result, bool) {
	values, _ := url.ParseQuery(string(body)) // it returns what it could read beside its error
	fields := make(map[string]string, len(values))
	for name, all := range values {
		if name != "" && len(all) > 0 {
			fields[name] = all[0]
		}
	}
	if len(fields) == 0 {
		return gjson.Result{}, false
	}
	object, err := json.Marshal(fields)
	if err != nil {
		return gjson.Result{}, false // unreachable: strings always marshal
	}
	return gjson.ParseBytes(object), true
}

// Minor reads an amount in the minor unit of its currency, written as a whole number or as the digits of one: some
// providers put every amount in quotes.
func Minor(amount, currency gjson.Result) (makegood.Money, bool) {
	code, ok := Currency(currency)
	minor, isWhole := WholeOrDigits(amount)
	if !ok || !isWhole {
		return makegood.Money{}, false
	}
	return makegood.Money{Minor: minor, Currency: code}, true
}

// WholeOrDigits is Whole, and takes decimal digits in quotes as well.
func WholeOrDigits(r gjson.Result) (int64, bool) {
	if r.Type == gjson.String {
		return WholeText(r.Str)
	}
	return Whole(r)
}
