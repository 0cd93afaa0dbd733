// Package providertest is a hostile conformance suite: what every provider.Source must refuse, and the little that it must
// accept. An adapter says how its provider signs, and the suite forges.
package providertest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
)

// Verification tells the suite how a provider signs.
type Verification struct {
	// New makes a source that knows these secrets, all active.
	New func(secrets ...provider.Secret) (provider.Source, error)
	// Sign returns the headers of a genuine delivery that is signed with each of the secrets, as during a roll. It is
	// best made with the provider's own library, which then is an oracle for ours. A provider that cannot sign twice
	// signs with the last.
	Sign func(body []byte, at time.Time, secrets ...string) http.Header
	// Seal returns a whole genuine delivery, in the place of Sign, where the proof is not only in headers.
	Seal func(body []byte, at time.Time, secrets ...string) provider.Delivery
	// Headers names the headers that prove something: with any of them missing, doubled or changed in one bit, nothing is
	// proved.
	Headers []string
	// Query names the fields of the address that prove something, by the same measure.
	Query []string
	// Signed returns what is signed of a sealed body, each part from its first byte to behind its last, where the proof
	// is in the body and does not cover all of it. Nil is the whole body.
	Signed func(body []byte) [][2]int
	// BodyIsOpen is set where nothing of the body is signed: then the suite does not ask for it, and whoever uses the
	// source must not believe the body.
	BodyIsOpen bool
	// Secrets are two different secrets, of the form that the provider gives out.
	Secrets [2]string
	// Body is a body as the provider sends it.
	Body []byte
	// Tolerance is how far the signed time may lie from ours on both sides; 0 for a provider that signs no time.
	Tolerance time.Duration
	// Now is a fixed time on a full second.
	Now time.Time
}

// Run checks everything.
func (v Verification) Run(t *testing.T) {
	t.Run("refuses to be without a secret", v.withoutSecret)
	t.Run("accepts what is genuine", v.genuine)
	t.Run("accepts during a roll", v.rolling)
	t.Run("accepts a repetition", v.repeated)
	t.Run("both sides of the clock", v.clock)
	t.Run("another secret", v.foreign)
	t.Run("headers missing or doubled", v.headers)
	t.Run("every bit of the headers", v.headerBits)
	t.Run("every bit of the body", v.bodyBits)
	t.Run("other bodies", v.otherBodies)
	t.Run("letters in the other case", v.otherCase)
	t.Run("every byte of the secret", v.secretBytes)
	t.Run("a secret past its time", v.retired)
	t.Run("many at once", v.concurrent)
}

func (v Verification) source(t *testing.T, secrets ...string) provider.Source {
	t.Helper()
	s, err := v.New(provider.Active(values(secrets)...)...)
	if err != nil {
		t.Fatalf("New with %d secrets: %v", len(secrets), err)
	}
	return s
}

func values(secrets []string) []secret.Value {
	list := make([]secret.Value, len(secrets))
	for i, s := range secrets {
		list[i] = secret.New(s)
	}
	return list
}

// seal makes a genuine delivery that arrives now.
func (v Verification) seal(body []byte, at time.Time, secrets ...string) provider.Delivery {
	if v.Seal == nil {
		return provider.Delivery{Header: v.Sign(body, at, secrets...), Body: body, ReceivedAt: v.Now}
	}
	d := v.Seal(body, at, secrets...)
	d.ReceivedAt = v.Now
	return d
}

// forge makes a delivery that has everything a genuine one has, and is none: its proof is of another body, or where no
// body is proved, of another secret.
func (v Verification) forge(secret string) provider.Delivery {
	d := v.seal(v.Body, v.Now, secret)
	switch {
	case v.Signed != nil:
		d.Body = slices.Clone(d.Body)
		d.Body[v.Signed(d.Body)[0][0]] ^= 1
	case v.BodyIsOpen:
		all := v.spots()
		value := []byte(all[0].value(d))
		value[len(value)-1] ^= 1
		d = all[0].with(d, string(value))
	default:
		d = v.seal([]byte("{}"), v.Now, secret)
		d.Body = v.Body
	}
	return d
}

func (v Verification) coversWholeBody() bool { return v.Signed == nil && !v.BodyIsOpen }

// spot is a place outside of the body where something stands that proves.
type spot struct {
	name    string
	inQuery bool
}

// spots are all of them.
func (v Verification) spots() []spot {
	var all []spot
	for _, name := range v.Headers {
		all = append(all, spot{name: name})
	}
	for _, name := range v.Query {
		all = append(all, spot{name: name, inQuery: true})
	}
	return all
}

func (s spot) value(d provider.Delivery) string {
	if s.inQuery {
		return d.Query.Get(s.name)
	}
	return d.Header.Get(s.name)
}

// with returns the delivery with other values in the spot.
func (s spot) with(d provider.Delivery, values ...string) provider.Delivery {
	if s.inQuery {
		d.Query = url.Values(http.Header(d.Query).Clone())
		d.Query[s.name] = values
		return d
	}
	d.Header = d.Header.Clone()
	d.Header[http.CanonicalHeaderKey(s.name)] = values
	return d
}

// rejected checks that a delivery is refused for one of the reasons (for any, if none is given), and that the refusal
// tells nothing that helps a forger.
func (v Verification) rejected(t *testing.T, s provider.Source, d provider.Delivery, what string, reasons ...provider.Reason) {
	t.Helper()
	fingerprint, err := s.Verify(d)
	if err == nil || fingerprint != "" {
		t.Errorf("Verify of %s = %q, %v; want it refused", what, fingerprint, err)
		return
	}
	var refused *provider.SignatureError
	if !errors.As(err, &refused) || !errors.Is(err, makegood.BadSignature) {
		t.Errorf("Verify of %s = %v, want a *provider.SignatureError", what, err)
		return
	}
	if len(reasons) > 0 && !slices.Contains(reasons, refused.Reason) {
		t.Errorf("Verify of %s says %q, want one of %q", what, refused.Reason, reasons)
	}
	sealed := v.seal(v.Body, v.Now, v.Secrets[:]...)
	proofs := append(allValues(sealed.Header), allValues(http.Header(sealed.Query))...)
	for _, told := range append([]string{v.Secrets[0], v.Secrets[1]}, proofs...) {
		if len(told) > 12 && strings.Contains(err.Error(), told) {
			t.Errorf("Verify of %s repeats a secret or a signature in its error", what)
		}
	}
}

func (v Verification) accepted(t *testing.T, s provider.Source, d provider.Delivery, what, want string) {
	t.Helper()
	got, err := s.Verify(d)
	if err != nil || got != secret.New(want).Fingerprint() {
		t.Errorf("Verify of %s = %q, %v; want the fingerprint %q", what, got, err, secret.New(want).Fingerprint())
	}
}

func (v Verification) withoutSecret(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}, {v.Secrets[0], ""}, {"", v.Secrets[0]}} {
		if _, err := v.New(provider.Active(values(secrets)...)...); err == nil {
			t.Errorf("New with the secrets %q gave a source; an empty secret would accept forged events", secrets)
		}
	}
}

func (v Verification) genuine(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	d := v.seal(slices.Clone(v.Body), v.Now, v.Secrets[0])
	body := slices.Clone(d.Body)
	v.accepted(t, s, d, "a genuine delivery", v.Secrets[0])
	if !bytes.Equal(body, d.Body) {
		t.Error("Verify changed the body")
	}
	if v.Signed != nil {
		return // the proof is in the body, so there is none without one
	}
	v.accepted(t, s, v.seal(nil, v.Now, v.Secrets[0]), "a genuine empty body", v.Secrets[0])
	odd := []byte("{\"a\":\"\xff\x00\r\n \u2028\"} \n")
	v.accepted(t, s, v.seal(odd, v.Now, v.Secrets[0]), "a genuine body of odd bytes", v.Secrets[0])
}

func (v Verification) rolling(t *testing.T) {
	previous, next := v.Secrets[0], v.Secrets[1]
	both := v.source(t, next, previous)
	v.accepted(t, both, v.seal(v.Body, v.Now, previous), "the old secret while both are known", previous)
	v.accepted(t, both, v.seal(v.Body, v.Now, next), "the new secret while both are known", next)
	signedTwice := v.seal(v.Body, v.Now, previous, next)
	v.accepted(t, v.source(t, next), signedTwice, "two signatures where only the new secret is known", next)
	if _, err := both.Verify(signedTwice); err != nil {
		t.Errorf("Verify of two signatures while both secrets are known: %v", err)
	}
}

func (v Verification) repeated(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	d := v.seal(v.Body, v.Now, v.Secrets[0])
	for range 3 {
		v.accepted(t, s, d, "the same delivery again", v.Secrets[0])
	}
}

func (v Verification) clock(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	at := func(age time.Duration, secret string) provider.Delivery {
		return v.seal(v.Body, v.Now.Add(-age), secret)
	}
	if v.Tolerance == 0 {
		v.accepted(t, s, at(1000*time.Hour, v.Secrets[0]), "a delivery of a provider that signs no time", v.Secrets[0])
		return
	}
	for _, age := range []time.Duration{v.Tolerance, v.Tolerance - time.Second, -v.Tolerance, -v.Tolerance + time.Second} {
		v.accepted(t, s, at(age, v.Secrets[0]), fmt.Sprintf("a delivery aged %v", age), v.Secrets[0])
	}
	for _, age := range []time.Duration{v.Tolerance + time.Second, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		v.rejected(t, s, at(age, v.Secrets[0]), fmt.Sprintf("a delivery aged %v", age), provider.ReasonTooOld)
		v.rejected(t, s, at(-age, v.Secrets[0]), fmt.Sprintf("a delivery aged %v", -age), provider.ReasonFuture)
		v.rejected(t, s, at(age, v.Secrets[1]), "an old forgery, which must not be told that it is old", provider.ReasonMismatch)
		v.rejected(t, s, at(-age, v.Secrets[1]), "a forgery from the future, which must not be told so", provider.ReasonMismatch)
	}
	// A fraction of a second beyond the border counts: whatever resolution the signed time has, ours has more.
	late := at(v.Tolerance, v.Secrets[0])
	late.ReceivedAt = v.Now.Add(time.Millisecond)
	v.rejected(t, s, late, "a delivery a millisecond beyond the border", provider.ReasonTooOld)
}

func (v Verification) foreign(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	for _, forged := range []string{v.Secrets[1], "x", v.Secrets[0] + "\n", " " + v.Secrets[0], v.Secrets[0][:len(v.Secrets[0])-1],
		strings.ToUpper(v.Secrets[0]), v.Secrets[0] + v.Secrets[0]} {
		if forged == v.Secrets[0] {
			continue // it has no letters in lower case
		}
		if d, ok := v.trySeal(forged); ok {
			v.rejected(t, s, d, "a signature with another secret", provider.ReasonMismatch)
		}
	}
}

// trySeal signs with a secret that the provider's library may refuse to use.
func (v Verification) trySeal(secret string) (d provider.Delivery, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return v.seal(v.Body, v.Now, secret), true
}

func (v Verification) headers(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	genuine := v.seal(v.Body, v.Now, v.Secrets[0])
	if len(v.spots()) > 0 {
		bare := provider.Delivery{Header: http.Header{}, Query: url.Values{}, Body: v.Body, ReceivedAt: v.Now}
		v.rejected(t, s, bare, "no header at all", provider.ReasonMissing)
		v.rejected(t, s, provider.Delivery{Body: v.Body, ReceivedAt: v.Now}, "a nil header", provider.ReasonMissing)
	}
	for _, spot := range v.spots() {
		value := spot.value(genuine)
		for what, values := range map[string][]string{
			"missing":                      {},
			"empty":                        {""},
			"there twice":                  {value, value},
			"there twice, the first bad":   {"x", value},
			"there twice, the second bad":  {value, "x"},
			"there twice, the first empty": {"", value},
			"followed by itself":           {value + "," + value},
			"a blank":                      {" "},
			"a comma":                      {","},
			"behind a blank":               {" " + value},
			"before a blank":               {value + " "},
			"cut by one":                   {value[:len(value)-1]},
			"cut by half":                  {value[:len(value)/2]},
			"one longer":                   {value + "0"},
			"very long":                    {strings.Repeat(value+",", 10_000)},
			"not text":                     {"\x00\xff"},
		} {
			v.rejected(t, s, spot.with(genuine, values...), spot.name+" "+what)
		}
	}
}

func (v Verification) headerBits(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	genuine := v.seal(v.Body, v.Now, v.Secrets[0])
	for _, spot := range v.spots() {
		value := spot.value(genuine)
		for i := range len(value) {
			for bit := range 8 {
				mutant := []byte(value)
				mutant[i] ^= 1 << bit
				v.rejected(t, s, spot.with(genuine, string(mutant)), fmt.Sprintf("%s with bit %d of byte %d turned", spot.name, bit, i))
			}
		}
	}
}

func (v Verification) bodyBits(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	d := v.seal(v.Body, v.Now, v.Secrets[0])
	genuine := d.Body
	if v.Signed != nil {
		v.signedBits(t, s, d)
	}
	if !v.coversWholeBody() {
		return
	}
	for i := range genuine {
		d.Body = slices.Clone(genuine)
		d.Body[i] ^= 1 << (i % 8)
		v.rejected(t, s, d, fmt.Sprintf("a body with byte %d changed", i), provider.ReasonMismatch)
	}
}

// signedBits turns every bit of what is signed, and of the proof itself if it is among the parts.
func (v Verification) signedBits(t *testing.T, s provider.Source, d provider.Delivery) {
	genuine := d.Body
	for _, part := range v.Signed(genuine) {
		if part[0] >= part[1] {
			t.Fatalf("Signed names the empty part %v", part)
		}
		for i := part[0]; i < part[1]; i++ {
			for bit := range 8 {
				d.Body = slices.Clone(genuine)
				d.Body[i] ^= 1 << bit
				v.rejected(t, s, d, fmt.Sprintf("a body with bit %d of byte %d turned, which is signed", bit, i))
			}
		}
	}
}

func (v Verification) otherBodies(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	d := v.seal(v.Body, v.Now, v.Secrets[0])
	genuine := d.Body
	bodies := map[string][]byte{
		"no body":             nil,
		"a body cut by one":   genuine[:len(genuine)-1],
		"a body behind a BOM": append([]byte("\uFEFF"), genuine...),
		"the body twice":      append(slices.Clone(genuine), genuine...),
	}
	reasons := []provider.Reason{provider.ReasonMismatch}
	switch {
	case v.BodyIsOpen:
		return
	case v.Signed != nil:
		reasons = nil // the proof may be gone with what is missing
	default:
		bodies["a body with a line break"] = append(slices.Clone(genuine), '\n')
	}
	for what, body := range bodies {
		d.Body = body
		v.rejected(t, s, d, what, reasons...)
	}
}

func (v Verification) otherCase(t *testing.T) {
	s := v.source(t, v.Secrets[0])
	genuine := v.seal(v.Body, v.Now, v.Secrets[0])
	for _, spot := range v.spots() {
		value := spot.value(genuine)
		for _, other := range []string{strings.ToUpper(value), strings.ToLower(value), strings.Map(swapCase, value)} {
			if other != value {
				v.rejected(t, s, spot.with(genuine, other), spot.name+" in another case")
			}
		}
	}
}

// secretBytes knows a secret that differs in one byte: nothing that was signed with the true one may be proved. A secret
// that is refused as malformed is as good.
func (v Verification) secretBytes(t *testing.T) {
	genuine := v.Secrets[0]
	d := v.seal(v.Body, v.Now, genuine)
	refused := 0
	for i := range len(genuine) {
		for _, other := range []byte{genuine[i] ^ 1, genuine[i] + 1, genuine[i] ^ 0x40} {
			mutant := []byte(genuine)
			mutant[i] = other
			s, err := v.New(provider.Secret{Value: secret.New(string(mutant))})
			if err != nil {
				refused++
				continue
			}
			v.rejected(t, s, d, fmt.Sprintf("a delivery where byte %d of our secret is another", i), provider.ReasonMismatch)
		}
	}
	if refused == 3*len(genuine) {
		t.Error("every mutant of the secret was refused, so none was tried")
	}
}

func (v Verification) retired(t *testing.T) {
	old, next := v.Secrets[0], v.Secrets[1]
	retiring := func(notAfter time.Time) provider.Source {
		s, err := v.New(provider.Secret{Value: secret.New(next)}, provider.Secret{Value: secret.New(old), NotAfter: notAfter})
		if err != nil {
			t.Fatalf("New with a retiring secret: %v", err)
		}
		return s
	}
	d := v.seal(v.Body, v.Now, old)
	v.accepted(t, retiring(v.Now), d, "a delivery in the last moment of its secret", old)
	v.rejected(t, retiring(v.Now.Add(-time.Microsecond)), d, "a delivery just after the last moment of its secret", provider.ReasonRetired)
	retiredFirst, err := v.New(provider.Secret{Value: secret.New(old), NotAfter: v.Now.Add(-time.Hour)}, provider.Secret{Value: secret.New(next)})
	if err != nil {
		t.Fatalf("New with a retired secret: %v", err)
	}
	v.accepted(t, retiredFirst, v.seal(v.Body, v.Now, old, next), "two signatures, of which one is retired", next)
	v.rejected(t, retiring(v.Now.Add(-time.Microsecond)), v.forge(old), "a forgery, which must not be told that a secret is retired", provider.ReasonMismatch)
	v.accepted(t, retiring(v.Now.Add(-time.Hour)), v.seal(v.Body, v.Now, next), "the new secret beside a retired one", next)
}

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// concurrent is for the race detector, and for state that one delivery leaves for the next.
func (v Verification) concurrent(t *testing.T) {
	s := v.source(t, v.Secrets[0], v.Secrets[1])
	var wg sync.WaitGroup
	for worker := range 8 {
		body := slices.Clone(v.Body)
		if v.coversWholeBody() {
			body = append(body, byte('0'+worker))
		}
		good, bad := v.seal(body, v.Now, v.Secrets[worker%2]), v.forge(v.Secrets[worker%2])
		wg.Go(func() {
			for range 50 {
				v.accepted(t, s, good, "a genuine delivery among others", v.Secrets[worker%2])
				v.rejected(t, s, bad, "a forged delivery among others")
			}
		})
	}
	wg.Wait()
}

func allValues(h http.Header) []string {
	var all []string
	for _, values := range h {
		all = append(all, values...)
	}
	return all
}
