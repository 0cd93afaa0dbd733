package config

import (
	"bytes"
	"fmt"
	"strings"
)

// referenceHead is what the tables do not say. The file in it is read by a test.
const referenceHead = `# Configuration

<!-- Made from the table in internal/config/keys.go by: go test ./internal/config -update -->

Makegood reads one YAML file. ` + "`makegood init`" + ` writes one to start from, with every key and its meaning.

The file is read strictly. A key that is not known, a key that is written twice, a value of another type, an anchor, an
alias or a tag is a problem. All problems are told at once, at start, each with its path, file and line, and nothing starts
until there are none:

` + "```text" + `
sources[0].api_key: env STRIPE_API_KEY is not set (makegood.yaml:11)
sources[0].webhook_secrets[0]: is empty; an empty secret would accept what anybody forges (makegood.yaml:12)
` + "```" + `

No problem repeats a value of the file, because any value may be a secret in the wrong place.

The shortest file that works:

` + "```yaml" + `
public_url: https://shop.example.com
sources:
  - name: stripe
    provider: stripe
    mode: test
    api_key: env:STRIPE_API_KEY
    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]
products:
  - code: az-900
    name: AZ-900 practice exam
    price: 29.00 USD
licenses:
  key_secrets: [{id: k1, secret: env:LICENSE_KEY_SECRET}]
mail:
  from: Shop <shop@example.com>
  resend: {api_key: env:RESEND_API_KEY}
` + "```" + `

## Secrets

A secret never stands in the file. It is given by reference:

- ` + "`env:NAME`" + ` takes a variable of the environment, as it is.
- ` + "`file:/path`" + ` takes a file of up to 64 KiB, without one line feed at its end. A relative path is seen from the folder of the
  configuration file. Files are better than the environment, which every child process inherits.

Each secret is looked at before anything starts. A broken one is refused, and how it is broken is named, never its value:

| Class | The secret |
|---|---|
| empty | has nothing in it; an empty signing secret would accept what anybody forges |
| placeholder, unexpanded | is from an example, or is the name of a variable that nobody replaced |
| whitespace, newline, bom, nbsp, control | has blanks, a line break, a byte order mark, no-break spaces or control characters in it |
| quotes, bearer_prefix | has quotation marks or an authorization scheme around it |
| too_short, doubled | was cut off, or pasted twice |
| wrong_kind, wrong_mode | is another secret, or one for test mode where live is set, or the reverse |

Two secrets of one use are written while one replaces the other: add the new one, restart, let the provider sign with it,
then remove the old one. For licence keys, put the new secret first and keep the old one.

## Channels and escalation

Without ` + "`channels`" + ` nobody is told of anything, as without ` + "`watcher`" + ` nobody watches. A channel with ` + "`quiet: true`" + ` wakes
nobody. Without ` + "`escalation`" + `, P0 is told over every channel at once; P1 over the quiet ones at once and over every one
after ten minutes; P2 over the quiet ones at once and over every one after fifty minutes; P3 is only written down. The
watcher has a file of its own: [its keys](watch-configuration.md), [how it is run](watcher.md).

## Keys

` + "`sources[]`" + ` means each entry of the list. A duration is written with its unit: ` + "`250ms`, `10s`, `5m`, `1h`" + `. A default of
"required" means that there is none.
`

// watchReferenceHead is referenceHead for the watcher's file.
const watchReferenceHead = `# Configuration of the watcher

<!-- Made from the table in internal/config/watchkeys.go by: go test ./internal/config -update -->

The watcher reads one YAML file of its own, as strictly as the server reads [its own](configuration.md): all problems are told at
once, each with its path, file and line, none repeats a value, and nothing starts until there are none. Secrets are given by
reference, ` + "`env:NAME` or `file:/path`" + `. [deploy/watch.yaml](../deploy/watch.yaml) is a file to start from, with every key and its
meaning; [how a watcher is run](watcher.md) has a page of its own.

The shortest file that works:

` + "```yaml" + `
monitors:
  - name: landing-page
    url: https://shop.example.com/
channels:
  - {name: phone, kind: ntfy, topic: env:NTFY_TOPIC}
` + "```" + `

What a watcher refuses: to have nobody to tell; to watch itself; a monitor that explains itself, directly or in a circle; one
secret for two purposes; a provider's key of the other mode.

## Keys

` + "`monitors[]`" + ` means each entry of the list. A duration is written with its unit: ` + "`250ms`, `10s`, `5m`, `1h`" + `. A default of
"required" means that there is none.
`

// WatchReference returns the manual of the watcher's file, docs/watch-configuration.md.
func WatchReference() []byte { return manual(watchReferenceHead, watchKeys()) }

// Reference returns the manual of the configuration file, docs/configuration.md.
func Reference() []byte { return manual(referenceHead, keys()) }

func manual(head string, keys []key) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	chapter := ""
	for _, k := range keys {
		top, _, nested := strings.Cut(strings.ReplaceAll(k.path, "[]", ""), ".")
		if !nested && k.kind != section && k.kind != sections {
			top = "General"
		}
		if top != chapter {
			chapter = top
			fmt.Fprintf(&b, "\n### %s\n\n", chapter)
			if !nested && top != "General" {
				fmt.Fprintf(&b, "%s %s\n\n", k.meaning, k.defaultName()+".")
			}
			b.WriteString("| Key | Type | Default | Unit | Example | Meaning |\n|---|---|---|---|---|---|\n")
			if top != "General" {
				continue
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", k.path, k.typeName(), k.defaultCell(), orDash(k.unit), code(k.example), k.meaning)
	}
	return b.Bytes()
}

// typeName is the type of a value, with its bounds, for people.
func (k key) typeName() string {
	switch k.kind {
	case text:
		if len(k.oneOf) == 1 {
			return "text: " + k.oneOf[0]
		}
		if len(k.oneOf) > 0 {
			last := len(k.oneOf) - 1
			return "text: " + strings.Join(k.oneOf[:last], ", ") + " or " + k.oneOf[last]
		}
		return "text"
	case number:
		return fmt.Sprintf("whole number, %d to %d", k.least, k.most)
	case flag:
		return "true or false"
	case span:
		return fmt.Sprintf("duration, %s to %s", spanText(k.shortest), spanText(k.longest))
	case secretRef:
		return "secret reference"
	case texts:
		return "list of text"
	case secretRefs:
		return "list of secret references"
	case table:
		return "mapping from text to text"
	case section:
		return "mapping"
	case sections:
		return "list of mappings"
	}
	panic("unreachable: no such kind")
}

// defaultName is the default as a sentence.
func (k key) defaultName() string {
	switch {
	case k.must != "":
		return "Required: " + k.must
	case k.shown != "":
		return "Default: " + k.shown
	case k.kind == section:
		return "Default: that of each key"
	}
	return "Default: " + k.fallback
}

func (k key) defaultCell() string {
	switch {
	case k.must != "":
		return "required"
	case k.shown != "":
		return k.shown
	case k.kind == section:
		return "that of each key"
	}
	return code(k.fallback)
}

func code(s string) string {
	if s == "" {
		return "–"
	}
	return "`" + s + "`"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
