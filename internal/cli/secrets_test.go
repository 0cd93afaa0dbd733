package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/cli"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
)

const checkedFile = `public_url: https://shop.example.com
sources:
  - {name: stripe, provider: stripe, mode: MODE, api_key: env:STRIPE_API_KEY, webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]}
products:
  - {code: az-900, name: AZ-900 practice exam, price: 29.00 USD}
licenses: {key_secrets: [{id: k1, secret: env:LICENSE_KEY_SECRET}]}
mail: {from: shop@example.com, resend: {api_key: RESEND}}
`

// Every way in which a secret is broken is named by its class, with where it is, and never with any of what is in it.
func TestSecretsCheckNamesEveryClass(t *testing.T) {
	t.Parallel()
	const hidden = "hUsHhUsHhUsHhUsH1234567890" // a part of every value that is broken; no output may have it
	for _, tt := range []struct {
		class     secret.Class
		name      string // of the variable
		value     string
		path      string
		written   string // in the file, in the place of a reference
		isMissing bool
	}{
		{class: secret.Missing, name: "STRIPE_API_KEY", path: "sources[0].api_key", isMissing: true},
		{class: secret.Literal, path: "mail.resend.api_key", written: "re_" + hidden},
		{class: secret.Empty, name: "STRIPE_WEBHOOK_SECRET", path: "sources[0].webhook_secrets[0]"},
		{class: secret.Whitespace, name: "STRIPE_WEBHOOK_SECRET", value: " whsec_" + hidden, path: "sources[0].webhook_secrets[0]"},
		{class: secret.Newline, name: "STRIPE_WEBHOOK_SECRET", value: "whsec_" + hidden + "\n", path: "sources[0].webhook_secrets[0]"},
		{class: secret.BOM, name: "STRIPE_WEBHOOK_SECRET", value: "\uFEFFwhsec_" + hidden, path: "sources[0].webhook_secrets[0]"},
		{class: secret.NBSP, name: "STRIPE_WEBHOOK_SECRET", value: "whsec_" + hidden + "\u00a0", path: "sources[0].webhook_secrets[0]"},
		{class: secret.Control, name: "STRIPE_WEBHOOK_SECRET", value: "whsec_" + hidden + "\x01", path: "sources[0].webhook_secrets[0]"},
		{class: secret.Quotes, name: "STRIPE_WEBHOOK_SECRET", value: `"whsec_` + hidden + `"`, path: "sources[0].webhook_secrets[0]"},
		{class: secret.Unexpanded, name: "STRIPE_WEBHOOK_SECRET", value: "${" + hidden + "}", path: "sources[0].webhook_secrets[0]"},
		{class: secret.BearerPrefix, name: "RESEND_API_KEY", value: "Bearer re_" + hidden, path: "mail.resend.api_key"},
		{class: secret.Placeholder, name: "RESEND_API_KEY", value: "re_your_" + hidden + "_goes_here", path: "mail.resend.api_key"},
		{class: secret.Doubled, name: "STRIPE_WEBHOOK_SECRET", value: "whsec_" + hidden + "whsec_" + hidden, path: "sources[0].webhook_secrets[0]"},
		{class: secret.TooShort, name: "STRIPE_WEBHOOK_SECRET", value: "whsec_" + hidden[:16], path: "sources[0].webhook_secrets[0]"},
		{class: secret.WrongKind, name: "STRIPE_WEBHOOK_SECRET", value: "sk_test_" + hidden, path: "sources[0].webhook_secrets[0]"},
		{class: secret.WrongMode, name: "STRIPE_API_KEY", value: "sk_live_" + hidden, path: "sources[0].api_key"},
	} {
		t.Run(string(tt.class), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "makegood.yaml")
			resend := tt.written
			if resend == "" {
				resend = "env:RESEND_API_KEY"
			}
			file := strings.NewReplacer("RESEND}", resend+"}", "MODE", "test").Replace(checkedFile)
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			lookup := func(name string) (string, bool) {
				if name == tt.name {
					return tt.value, !tt.isMissing
				}
				value, ok := goodSecrets[name]
				return value, ok
			}
			var out, errs strings.Builder
			if code := cli.Main(t.Context(), []string{"secrets", "check", "-c", path}, &out, &errs, lookup); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			row := ""
			for line := range strings.Lines(out.String()) {
				if fields := strings.Fields(line); len(fields) > 3 && fields[0] == "BROKEN" && fields[1] == tt.path && fields[2] == string(tt.class) {
					row = line
				}
			}
			if row == "" || !strings.Contains(errs.String(), "broken") {
				t.Errorf("the class %s of %s is not told:\n%s%s", tt.class, tt.path, &out, &errs)
			}
			var asJSON strings.Builder
			cli.Main(t.Context(), []string{"secrets", "check", "--json", "-c", path}, &asJSON, &errs, lookup)
			var rows []struct {
				Path  string
				Class secret.Class
			}
			found := false
			if err := json.Unmarshal([]byte(asJSON.String()), &rows); err != nil {
				t.Errorf("JSON = %s: %v", &asJSON, err)
			}
			for _, r := range rows {
				found = found || r.Path == tt.path && r.Class == tt.class
			}
			if !found {
				t.Errorf("JSON = %s, want %s at %s", &asJSON, tt.class, tt.path)
			}
			for _, part := range []string{hidden[:8], hidden[8:16], demo.StripeKey, demo.LicenseSecret} {
				if strings.Contains(out.String()+errs.String()+asJSON.String(), part) {
					t.Errorf("a part of a secret is shown:\n%s%s%s", &out, &errs, &asJSON)
				}
			}
		})
	}
}
