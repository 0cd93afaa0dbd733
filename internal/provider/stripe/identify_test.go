package stripe_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "", nil)
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name string
		body string
		want makegood.Event
	}{
		{"as Stripe sends it", bodyPaid, makegood.Event{ProviderID: "evt_1Q0PaidByCard", Type: "checkout.session.completed",
			APIVersion: "2026-03-25.dahlia", ObjectID: "cs_test_a1B2c3D4e5F6g7H8i9J0", CreatedAt: time.Unix(1788264000, 0).UTC()}},
		{"live and connected", `{"id":"evt_1","type":"a.b","account":"acct_1","livemode":true,"data":{"object":{"id":"ob_1"}}}`,
			makegood.Event{ProviderID: "evt_1", Type: "a.b", Account: "acct_1", Live: true, ObjectID: "ob_1"}},
		{"thin", `{"id":"evt_t","object":"v2.core.event","type":"v1.x","livemode":true,"created":"2025-09-17T06:20:52.246+02:00","context":"acct_2","related_object":{"id":"mtr_1"}}`,
			makegood.Event{ProviderID: "evt_t", Type: "v1.x", Account: "acct_2", Live: true, ObjectID: "mtr_1", CreatedAt: time.Date(2025, 9, 17, 4, 20, 52, 246e6, time.UTC)}},
		{"the context of an event that is not thin", `{"id":"evt_1","context":"acct_2"}`, makegood.Event{ProviderID: "evt_1"}},
		{"without livemode it is test mode", `{"id":"evt_1","type":"a"}`, makegood.Event{ProviderID: "evt_1", Type: "a"}},
		{"livemode that is a string", `{"id":"evt_1","livemode":"true"}`, makegood.Event{ProviderID: "evt_1"}},
		{"livemode that is a number", `{"id":"evt_1","livemode":1}`, makegood.Event{ProviderID: "evt_1"}},
		{"of doubled keys the first counts", `{"id":"evt_1","id":"evt_2","livemode":false,"livemode":true,"data":{"object":{"id":"a","id":"b"}},"data":{"object":{"id":"c"}}}`,
			makegood.Event{ProviderID: "evt_1", ObjectID: "a"}},
		{"a key in disguise is the same key", `{"\u0069d":"evt_1","id":"evt_2"}`, makegood.Event{ProviderID: "evt_1"}},
		{"an account that is no string is not our own", `{"id":"evt_1","account":7}`, makegood.Event{ProviderID: "evt_1", Account: "sha256:7902699be42c8a8e46fbbb4501726517"}},
		{"an empty account is not our own", `{"id":"evt_1","account":""}`, makegood.Event{ProviderID: "evt_1", Account: "sha256:12ae32cb1ec02d01eda3581b127c1fee"}},
		{"a null account is our own", `{"id":"evt_1","account":null}`, makegood.Event{ProviderID: "evt_1"}},
		{"an id of 255 bytes", `{"id":"` + long[:255] + `"}`, makegood.Event{ProviderID: long[:255]}},
		{"a time of the far future", `{"id":"evt_1","created":253402300800}`, makegood.Event{ProviderID: "evt_1"}},
		{"a negative time", `{"id":"evt_1","created":-1}`, makegood.Event{ProviderID: "evt_1"}},
		{"a time in words", `{"id":"evt_1","created":"yesterday"}`, makegood.Event{ProviderID: "evt_1"}},
		{"types that are absurd", `{"id":"evt_1","type":"` + long + `","api_version":7,"data":[]}`, makegood.Event{ProviderID: "evt_1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.Source, tt.want.Payload = "stripe", []byte(tt.body)
			if diff := cmp.Diff(tt.want, s.Identify([]byte(tt.body))); diff != "" {
				t.Errorf("Identify(%s) differs (-want +got):\n%s", tt.body, diff)
			}
		})
	}
}

func TestIdentifyNamesTheNamelessByTheirHash(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "", nil)
	seen := map[string]string{}
	for _, body := range []string{"", " ", "{}", "[]", "null", "{", `{"id":""}`, `{"id":7}`, `{"id":null}`, `{"id":{"id":"evt_1"}}`, `{"id":"a b"}`, `{"id":"\u0000"}`,
		`{"id":"ä"}`, "{\"id\":\"\xff\"}", `{"id":"` + strings.Repeat("x", 256) + `"}`, `{"id":"evt_1"} x`, `[{"id":"evt_1"}]`, `{"type":"a"}`, "\uFEFF{\"id\":\"evt_1\"}"} {
		e := s.Identify([]byte(body))
		if !strings.HasPrefix(e.ProviderID, "sha256:") || len(e.ProviderID) != 7+32 || e.Type != "" {
			t.Errorf("Identify(%q) = %q of type %q, want a hash without a type", body, e.ProviderID, e.Type)
		}
		if other, ok := seen[e.ProviderID]; ok {
			t.Errorf("%q and %q have the same id", body, other)
		}
		seen[e.ProviderID] = body
		if again := s.Identify([]byte(body)); again.ProviderID != e.ProviderID {
			t.Errorf("Identify(%q) gives two ids: %q and %q", body, e.ProviderID, again.ProviderID)
		}
	}
}

func TestIdentifySurvivesDeepNesting(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "", nil)
	for _, body := range []string{
		strings.Repeat("[", makegood.DeliveryBytesMax),
		`{"id":"evt_1","a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}",
		strings.Repeat(`{"a":`, makegood.DeliveryBytesMax/5),
	} {
		if e := s.Identify([]byte(body)); !strings.HasPrefix(e.ProviderID, "sha256:") {
			t.Errorf("Identify of %d nested brackets = %q, want a hash", strings.Count(body, "["), e.ProviderID)
		}
	}
	brackets := `{"id":"evt_1","a":"` + strings.Repeat(`[\"`, 400) + `"}`
	if e := s.Identify([]byte(brackets)); e.ProviderID != "evt_1" {
		t.Errorf("Identify of brackets in a string = %q, want evt_1", e.ProviderID)
	}
}

// FuzzIdentify: no panic, the payload stays, an id is always there, and what is read can be stored anywhere.
func FuzzIdentify(f *testing.F) {
	for _, tt := range bodies {
		f.Add([]byte(tt.body))
	}
	s := newStripe(f, "", nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		e := s.Identify(body)
		if !bytes.Equal(e.Payload, before) || e.Source != "stripe" || e.ProviderID == "" {
			t.Errorf("Identify(%q) = %+v; want the payload kept and an id", body, e)
		}
		for _, text := range []string{e.ProviderID, e.Type, e.APIVersion, e.Account, e.ObjectID} {
			if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("Identify(%q) gives %q, which cannot be stored everywhere", body, text)
			}
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	s := newStripe(b, "", nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Identify([]byte(bodyPaid))
	}
}
