package config

import (
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

// targetKind is a kind of place and the fields that it has.
type targetKind struct {
	name  string
	needs []string
	may   []string
}

// targetKinds are the kinds of places that can be mended, in the order of the manual.
func targetKinds() []targetKind {
	return []targetKind{
		{name: "cloudflare_pages", needs: []string{"account", "project", "token"}, may: []string{"api_base"}},
		{name: "env_file", needs: []string{"path", "command"}, may: []string{"status"}},
		{name: "command", needs: []string{"command", "status"}},
		{name: "github_workflow", needs: []string{"repo", "workflow", "token"}, may: []string{"ref", "api_base"}},
	}
}

func targetFields() []string {
	return []string{"account", "project", "token", "api_base", "path", "command", "status", "repo", "workflow", "ref"}
}

func targetKindNames() []string {
	var names []string
	for _, k := range targetKinds() {
		names = append(names, k.name)
	}
	return names
}

func targetKindOf(name string) (targetKind, bool) {
	all := targetKinds()
	i := slices.IndexFunc(all, func(k targetKind) bool { return k.name == name })
	if i < 0 {
		return targetKind{}, false
	}
	return all[i], true
}

// targetTerms says which kinds need a field and which may have it, for the manual.
func targetTerms(field string) string {
	var needed, allowed []string
	for _, k := range targetKinds() {
		if slices.Contains(k.needs, field) {
			needed = append(needed, k.name)
		}
		if slices.Contains(k.may, field) {
			allowed = append(allowed, k.name)
		}
	}
	var terms []string
	if needed != nil {
		terms = append(terms, "to be given for "+listed(needed))
	}
	if allowed != nil {
		terms = append(terms, "may be given for "+listed(allowed))
	}
	return strings.Join(terms, "; ")
}

// secretKindNames are the kinds that a required secret can have.
func secretKindNames() []string {
	var names []string
	for _, k := range secret.Kinds() {
		names = append(names, string(k))
	}
	return names
}

func secretListKeys() []key {
	return []key{
		{path: "secrets", kind: section, shown: "none: it is not known what belongs on the hosts, so no variable is compared or written", off: true,
			meaning: "The one list of the secrets that programs need on their hosts, and where the truth about them is kept. docs/healing.md says how it is made."},
		{path: "secrets.source", must: "it says where the truth is kept", oneOf: []string{"sealed", "directory", "environment"}, example: "sealed", start: "sealed", off: true,
			meaning: "How the truth is kept: sealed is a file that makegood secrets seal encrypts and signs, directory a folder with a file for each secret, environment the variables of the watcher."},
		{path: "secrets.path", shown: "none; to be given for sealed and directory", example: "secrets.sealed", start: "secrets.sealed", off: true,
			meaning: "The file or the folder, seen from the folder of this file."},
		{path: "secrets.identity", kind: secretRef, shown: "none; to be given for sealed", example: "file:/etc/makegood-watch/identity", start: "env:MAKEGOOD_SECRETS_IDENTITY", off: true,
			meaning: "The age identity that opens the sealed file, as makegood secrets keygen made it."},
		{path: "secrets.verify_key", shown: "none; to be given for sealed, unless allow_unsigned", example: "mgv1_3UFNW8OJ8ZhwnjzWyYpSuSEHAjm1dTVoLr0UFQxNJJM", start: "mgv1_3UFNW8OJ8ZhwnjzWyYpSuSEHAjm1dTVoLr0UFQxNJJM", off: true,
			meaning: "The public key of whoever may seal. A file that is not signed with its other half is not believed, whoever could write it."},
		{path: "secrets.allow_unsigned", kind: flag, fallback: "false", example: "true", off: true,
			meaning: "Whether a sealed file without a signature is believed. Anybody who knows the recipient can make one."},
		{path: "secrets.prefix", shown: "none", example: "TRUTH_", start: `""`, off: true,
			meaning: "For environment: what stands before each name, so that the truth is not taken from what it is compared with."},
		{path: "secrets.mode", shown: "not compared", oneOf: []string{"test", "live"}, example: "live", start: "live", off: true,
			meaning: "Whether money is real there. Secrets of the other mode are refused."},
		{path: "secrets.required", kind: sections, must: "a list of nothing would find everything well", off: true, entries: requiredSecrets, meaning: "What must be there."},
		{path: "secrets.required[].name", must: "it is the variable", example: "STRIPE_WEBHOOK_SECRET", start: "STRIPE_WEBHOOK_SECRET", off: true, meaning: "The name of the variable, unique."},
		{path: "secrets.required[].kind", must: "it says what a good one looks like", oneOf: secretKindNames(), example: "stripe_webhook", start: "stripe_webhook", off: true,
			meaning: "What it is. One that does not look like it is not believed."},
		{path: "secrets.required[].not_after", shown: "for ever", unit: "time", example: "2027-12-01T00:00:00Z", start: "2027-12-01T00:00:00Z", off: true, meaning: "Its last moment, as RFC 3339."},
		{path: "secrets.required[].optional", kind: flag, fallback: "false", example: "true", off: true, meaning: "Whether a place may be without it."},
		{path: "secrets.required[].places", kind: texts, shown: "every target", example: "[shop, server]", start: "[shop]", off: true,
			meaning: "Where it must be: names of heal.targets, and server for the running server, which tells in its beats which it has."},
	}
}

func healKeys() []key {
	return []key{
		{path: "heal", kind: section, shown: "none: nothing is mended", off: true,
			meaning: "What is mended by itself, within limits: two attempts at a target within half an hour, four at all of them within an hour, one at a time. docs/healing.md."},
		{path: "heal.targets", kind: sections, must: "without a place there is nothing to mend", off: true, entries: healTargets, meaning: "The places where programs run."},
		{path: "heal.targets[].name", must: "attempts are called by it", unit: "a to z, 0 to 9, dashes", example: "shop", start: "shop", off: true, meaning: "Its name, unique, and not server."},
		{path: "heal.targets[].kind", must: "it says how it is mended", oneOf: targetKindNames(), example: "cloudflare_pages", start: "env_file", off: true, meaning: "What it is."},
		{path: "heal.targets[].auto", kind: flag, fallback: "false", example: "true", off: true,
			meaning: "Whether it is mended without a person. Without it, the incident says what would be done."},
		{path: "heal.targets[].drill", kind: flag, fallback: "false", example: "true", off: true,
			meaning: "Whether makegood drill may break it on purpose. Say so of a preview, and never of what sells."},
		{path: "heal.targets[].monitors", kind: texts, shown: "the server's silence and checkouts that fail", example: "[health]", start: "[health]", off: true,
			meaning: "The monitors that are red when it is ill, beside the server's silence and checkouts that fail. They are also what must be well again before it counts as healed."},
		{path: "heal.targets[].account", shown: targetTerms("account"), example: "023e105f4ecef8ad9ca31a8372d0c353", start: `""`, off: true, meaning: "The account's id at Cloudflare."},
		{path: "heal.targets[].project", shown: targetTerms("project"), example: "shop", start: `""`, off: true, meaning: "The project's name at Cloudflare Pages."},
		{path: "heal.targets[].token", kind: secretRef, shown: targetTerms("token"), example: "env:CLOUDFLARE_API_TOKEN", start: "env:CLOUDFLARE_API_TOKEN", off: true,
			meaning: "At Cloudflare a token that may edit Cloudflare Pages of that account and nothing else; at GitHub one that may write Actions of that repository."},
		{path: "heal.targets[].api_base", shown: "the service's own; " + targetTerms("api_base"), unit: "URL", example: "https://api.cloudflare.com/client/v4", start: `""`, off: true, meaning: "Where its API is."},
		{path: "heal.targets[].path", shown: targetTerms("path"), example: "/etc/makegood/env", start: "/etc/makegood/env", off: true, meaning: "The file with NAME=value lines that the program reads when it starts."},
		{path: "heal.targets[].command", kind: texts, shown: targetTerms("command"), example: "[systemctl, restart, makegood]", start: "[systemctl, restart, makegood]", off: true,
			meaning: "What starts the program again, word by word, without a shell. docker compose: [docker, compose, -f, /srv/shop/compose.yaml, up, -d, --force-recreate]."},
		{path: "heal.targets[].status", kind: texts, shown: targetTerms("status"), example: "[systemctl, is-active, --quiet, makegood]", start: "[systemctl, is-active, --quiet, makegood]", off: true,
			meaning: "What says whether the program runs, by its exit code."},
		{path: "heal.targets[].repo", shown: targetTerms("repo"), unit: "OWNER/NAME", example: "example/shop", start: `""`, off: true, meaning: "The repository."},
		{path: "heal.targets[].workflow", shown: targetTerms("workflow"), example: "auto-restore.yml", start: `""`, off: true, meaning: "The file of the workflow. deploy/github/auto-restore.yml is one to start from."},
		{path: "heal.targets[].ref", shown: "main; " + targetTerms("ref"), example: "main", start: `""`, off: true, meaning: "The branch whose workflow is run."},
		{path: "heal.targets[].after", kind: span, fallback: "61s", shortest: time.Second, longest: time.Hour, unit: "duration", example: "2m", off: true,
			meaning: "How long a trouble must have lasted before anything is changed: longer than a blip of a minute."},
		{path: "heal.targets[].start_within", kind: span, fallback: "6m", shortest: time.Second, longest: 30 * time.Minute, unit: "duration", example: "4m", off: true,
			meaning: "How long a deployment or a start may take before it counts as failed."},
		{path: "heal.targets[].verify_within", kind: span, fallback: "1m", shortest: time.Second, longest: 30 * time.Minute, unit: "duration", example: "2m", off: true,
			meaning: "How long it may take after that until it is well, seen from outside. What is not is taken back."},
		{path: "heal.targets[].verify_every", kind: span, fallback: "1s", shortest: 10 * time.Millisecond, longest: time.Minute, unit: "duration", example: "5s", off: true, meaning: "The time between two of those looks."},
		{path: "heal.targets[].steady", kind: number, fallback: "2", least: 1, most: 100, unit: "looks", example: "3", off: true, meaning: "How many in a row must be well."},
	}
}

// serverHealKeys are the rows of what a server mends of itself.
func serverHealKeys() []key {
	return []key{
		{path: "heal", kind: section, shown: "none: a person does it", off: true, meaning: "What the server mends of itself. What is wrong with its host, its watcher mends."},
		{path: "heal.workers", kind: flag, fallback: "false", example: "true", start: "true", off: true,
			meaning: "Whether workers that take no jobs although some are due are started again, at most twice within half an hour. Work that is merely too much is not touched: starting again cannot mend that."},
		{path: "heal.after", kind: span, fallback: "61s", shortest: time.Second, longest: time.Hour, unit: "duration", example: "2m", off: true, meaning: "How long that must have lasted."},
	}
}

func drillKeys() []key {
	return []key{
		{path: "drills", kind: sections, shown: "none", off: true,
			meaning: "What is broken on purpose, again and again, to see that it is found, told and mended. A drill that fails is an incident."},
		{path: "drills[].name", must: "it says what is broken", example: "secret-wiped", start: "secret-wiped", off: true, meaning: "Which drill; makegood drill list names them."},
		{path: "drills[].every", kind: span, fallback: "168h", shortest: time.Minute, longest: 366 * 24 * time.Hour, unit: "duration", example: "24h", off: true, meaning: "The time between two."},
		{path: "drills[].target", shown: "a simulated world on this machine", example: "preview", start: `""`, off: true,
			meaning: "A target of heal.targets with drill: true that is really broken. Without one, everything is simulated, in processes of its own."},
	}
}

// requiredSecrets are the examples of the starting file: the seven that a shop of this kind needs.
var requiredSecrets = []string{`
- name: STRIPE_API_KEY
  kind: stripe_key
`, `
- name: STRIPE_WEBHOOK_SECRET
  kind: stripe_webhook
`, `
- name: RESEND_API_KEY
  kind: resend_key
`, `
- name: LICENSE_KEY_SECRET
  kind: license_key
`, `
- name: WATCH_SECRET
  kind: peer
`, `
- name: NTFY_TOPIC
  kind: ntfy_topic
  optional: true
`, `
- name: SENTRY_DSN
  kind: sentry_dsn
  optional: true
`}

// healTargets are the examples of the starting file, one of each kind.
var healTargets = []string{`
- name: shop
  kind: env_file
  auto: true
  monitors: [health]
  path: /etc/makegood/env
  command: [systemctl, restart, makegood]
  status: [systemctl, is-active, --quiet, makegood]
`, `
- name: site
  kind: cloudflare_pages
  monitors: [landing-page]
  account: 023e105f4ecef8ad9ca31a8372d0c353
  project: shop
  token: env:CLOUDFLARE_API_TOKEN
`, `
- name: far-away
  kind: github_workflow
  repo: example/shop
  workflow: auto-restore.yml
  token: env:GITHUB_ACTIONS_TOKEN
`, `
- name: helper
  kind: command
  command: [ssh, deploy@shop.example.com, sudo, systemctl, restart, makegood]
  status: [ssh, deploy@shop.example.com, systemctl, is-active, --quiet, makegood]
`}
