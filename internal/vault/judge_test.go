package vault_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

func needs() []vault.Need {
	return []vault.Need{
		{Name: "STRIPE_WEBHOOK_SECRET", Kind: secret.StripeWebhook},
		{Name: "STRIPE_KEY", Kind: secret.StripeKey},
		{Name: "RESEND_KEY", Kind: secret.ResendKey, Optional: true},
	}
}

func goodTruth() vault.Truth {
	return vault.Truth{Values: good(), Serial: 5, SealedAt: noon.Add(-time.Hour), Mode: secret.Live, Signed: true}
}

// Each case is one change to what is good, and fails when its guard is taken away.
func TestJudge(t *testing.T) {
	t.Parallel()
	type scene struct {
		truth vault.Truth
		needs []vault.Need
		known vault.Known
		mode  secret.Mode
	}
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   string // reason and name of every refusal
		tells  string
	}{
		{"good", func(*scene) {}, "", ""},
		{"never seen before", func(s *scene) { s.known = vault.Known{} }, "", ""},
		{"good and optional", func(s *scene) { s.truth.Values["RESEND_KEY"], s.truth.Serial = secret.New(resend), 6 }, "", ""},
		{"changed and sealed again", func(s *scene) { s.truth.Values["STRIPE_KEY"], s.truth.Serial = secret.New(stripeLive+"x"), 6 }, "", ""},
		{"without serials, changed", func(s *scene) {
			s.truth.Values["STRIPE_KEY"], s.truth.Serial, s.known.Serial = secret.New(stripeLive+"x"), 0, 0
		}, "", ""},
		{"mode that does not matter", func(s *scene) { s.mode = secret.AnyMode }, "", ""},
		{"source without a mode", func(s *scene) { s.truth.Mode = secret.AnyMode }, "", ""},
		{"optional and empty", func(s *scene) { s.truth.Values["RESEND_KEY"] = secret.Value{} }, "", ""},

		{"no values", func(s *scene) { s.truth.Values = nil }, "empty older", "no value"},
		{"no values, and none known", func(s *scene) { s.truth.Values, s.known = nil, vault.Known{} }, "empty", "no value"},
		{"no values, and none needed", func(s *scene) { s.truth.Values, s.known, s.needs = nil, vault.Known{}, nil }, "empty", "no value"},
		{"all values empty", func(s *scene) {
			s.truth.Values, s.known = values("STRIPE_KEY", "", "STRIPE_WEBHOOK_SECRET", ""), vault.Known{}
		}, "empty", "put it back"},
		{"no values, in another mode", func(s *scene) { s.truth.Values, s.known, s.mode = nil, vault.Known{}, secret.Test }, "empty other_mode", "no value"},

		{"lost what is needed", func(s *scene) { delete(s.truth.Values, "STRIPE_KEY"); s.truth.Serial = 6 }, "shrunken:STRIPE_KEY incomplete:STRIPE_KEY", "was in the source"},
		{"lost what is not needed", func(s *scene) { s.known.Fingerprints["OLD"], s.truth.Serial = "0", 6 }, "shrunken:OLD", "OLD was in the source"},
		{"lost what is optional", func(s *scene) { s.known.Fingerprints["RESEND_KEY"], s.truth.Serial = "0", 6 }, "shrunken:RESEND_KEY", "RESEND_KEY"},
		{"emptied what is optional", func(s *scene) {
			s.truth.Values["RESEND_KEY"], s.known.Fingerprints["RESEND_KEY"], s.truth.Serial = secret.Value{}, "0", 6
		}, "shrunken:RESEND_KEY", "RESEND_KEY"},

		{"older", func(s *scene) { s.truth.Serial = 4 }, "older", "4, and 5 was seen"},
		{"cannot count any more", func(s *scene) { s.truth.Serial = 0 }, "older", "0, and 5 was seen"},
		{"same serial, another value", func(s *scene) { s.truth.Values["STRIPE_KEY"] = secret.New(stripeLive + "x") }, "older", "two were sealed"},
		{"same serial, one more", func(s *scene) { s.truth.Values["RESEND_KEY"] = secret.New(resend) }, "older", "two were sealed"},

		{"sealed for the other mode", func(s *scene) { s.mode, s.needs = secret.Test, s.needs[:1] }, "other_mode", "live mode"},
		{"key for the other mode", func(s *scene) { s.truth.Mode, s.mode = "", secret.Test }, "other_mode:STRIPE_KEY", "live mode"},
		{"need of the other mode", func(s *scene) { s.needs[1].Mode = secret.Test }, "other_mode:STRIPE_KEY", "live mode"},
		{"key for another mode than the source", func(s *scene) { s.mode, s.truth.Mode = "", secret.Test }, "other_mode:STRIPE_KEY", "live mode"},

		{"needed and missing", func(s *scene) { s.needs[2].Optional = false }, "incomplete:RESEND_KEY", "RESEND_KEY is needed"},
		{"needed and empty", func(s *scene) { s.needs[2].Optional, s.truth.Values["RESEND_KEY"] = false, secret.Value{} }, "incomplete:RESEND_KEY", "RESEND_KEY is needed"},

		{"line feed", func(s *scene) { s.truth.Values["RESEND_KEY"], s.truth.Serial = secret.New(resend+"\n"), 6 }, "bad_secret:RESEND_KEY", "(newline)"},
		{"placeholder", func(s *scene) { s.truth.Values["RESEND_KEY"], s.truth.Serial = secret.New("re_xxxxxxxx"), 6 }, "bad_secret:RESEND_KEY", "(placeholder)"},
		{"swapped", func(s *scene) { s.truth.Values["RESEND_KEY"], s.truth.Serial = secret.New(webhook), 6 }, "bad_secret:RESEND_KEY", "(wrong_kind)"},
		{"kind that does not exist", func(s *scene) { s.needs[0].Kind = "stripe" }, "bad_secret:STRIPE_WEBHOOK_SECRET", "kind that does not exist"},

		{"ended", func(s *scene) { s.needs[1].NotAfter = noon.Add(-time.Microsecond) }, "out_of_date:STRIPE_KEY", "ended on 2026-11-29 11:59 UTC"},
		{"ends now", func(s *scene) { s.needs[1].NotAfter = noon }, "", ""},
		{"optional, missing and ended", func(s *scene) { s.needs[2].NotAfter = noon.Add(-time.Hour) }, "", ""},

		{"everything", func(s *scene) {
			s.truth.Serial, s.mode, s.needs[2].Optional = 4, secret.Test, false
			s.truth.Values["STRIPE_WEBHOOK_SECRET"], s.known.Fingerprints["A"] = secret.New("\""+webhook+"\"\n"), "0"
			s.needs[1].NotAfter = noon.Add(-time.Hour)
		}, "older other_mode shrunken:A bad_secret:STRIPE_WEBHOOK_SECRET bad_secret:STRIPE_WEBHOOK_SECRET out_of_date:STRIPE_KEY other_mode:STRIPE_KEY incomplete:RESEND_KEY", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scene{goodTruth(), needs(), vault.Remember(goodTruth()), secret.Live}
			tt.change(&s)
			got := vault.Judge(s.truth, s.needs, s.known, s.mode, noon)
			want := strings.Fields(tt.want)
			if reasons := reasonsOf(got); !slices.Equal(reasons, want) {
				t.Fatalf("Judge = %v, want %v", reasons, want)
			}
			all := ""
			for _, r := range got {
				all += r.Error()
			}
			if shows(all) || !strings.Contains(all, tt.tells) {
				t.Errorf("Judge tells %q, want %q and no secret", all, tt.tells)
			}
		})
	}
}

func reasonsOf(refusals []*vault.Refusal) []string {
	reasons := []string{}
	for _, r := range refusals {
		reason := string(r.Reason)
		if r.Name != "" {
			reason += ":" + r.Name
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

func TestRemember(t *testing.T) {
	t.Parallel()
	truth := goodTruth()
	truth.Values["EMPTY"] = secret.Value{}
	got := vault.Remember(truth)
	want := map[string]string{"STRIPE_KEY": secret.New(stripeLive).Fingerprint(), "STRIPE_WEBHOOK_SECRET": secret.New(webhook).Fingerprint()}
	if got.Serial != 5 || !got.SealedAt.Equal(truth.SealedAt) || !maps.Equal(got.Fingerprints, want) {
		t.Errorf("Remember = %+v, want serial 5 and %v", got, want)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	got, err := vault.Settings(goodTruth(), []string{"STRIPE_WEBHOOK_SECRET", "STRIPE_KEY"})
	if err != nil || len(got) != 2 || got[0].Name != "STRIPE_WEBHOOK_SECRET" || got[0].Value.Reveal() != webhook || got[1].Value.Reveal() != stripeLive {
		t.Errorf("Settings = %v, %v, want both in that order", got, err)
	}
	emptied := goodTruth()
	emptied.Values["STRIPE_KEY"] = secret.Value{}
	for _, tt := range []struct {
		name  string
		truth vault.Truth
		names []string
		want  vault.Reason
	}{
		{"no names", goodTruth(), nil, vault.Empty},
		{"missing", goodTruth(), []string{"STRIPE_KEY", "RESEND_KEY"}, vault.Incomplete},
		{"empty", emptied, []string{"STRIPE_WEBHOOK_SECRET", "STRIPE_KEY"}, vault.Incomplete},
	} {
		got, err := vault.Settings(tt.truth, tt.names)
		checkRefusal(t, vault.Truth{}, err, tt.want, "")
		if got != nil {
			t.Errorf("%s: Settings = %v, want none beside the refusal", tt.name, got)
		}
	}
}
