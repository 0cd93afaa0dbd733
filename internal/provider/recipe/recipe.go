// Package recipe is every provider that can be told in a row: how it proves a delivery, and which fields of its bodies say
// what. One engine reads the table; a new provider is a new row and its tests.
//
// The way of an event: [Recipe.Verify] proves it by the row's schemes (scheme.go, verify.go), [Recipe.Identify] names it
// (identify.go), [Recipe.Interpret] makes facts of it by the row's rules (rule.go, read.go, lines.go), and asks the
// provider where the row says that its word in a delivery is not enough (api.go). The rows are in the files that are named
// after the providers, and a row that a user writes is in generic.go.
package recipe

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
)

// Options describe one configured account at a provider of the table.
type Options struct {
	// Name is the source's name in the configuration; it is part of the key of every order.
	Name string
	// Provider is the name of a row; Providers lists them.
	Provider string
	// Live is the mode of this source. Where a body tells its mode, it must be this one.
	Live bool
	// Secrets are all that may prove a delivery: two while one is being rolled.
	Secrets []provider.Secret
	// PublicURL is the exact public address of the hook, for rows that sign it.
	PublicURL string
	// APIKey is for rows that ask the provider, and may be left out where asking only adds to what a delivery tells.
	APIKey secret.Value
	// APIBase is for tests and the simulation; default is the row's own for the mode.
	APIBase string
	// HTTP is the way out; nil is a client with the defaults of package outbound.
	HTTP *outbound.Client
	// Catalogue is what can be recognised.
	Catalogue makegood.Catalogue
	// Now is our clock; nil is time.Now.
	Now func() time.Time
	// Generic is the row itself for the provider "generic". For "standard-webhooks" and "svix", which say how to sign and
	// not what, its Reading alone counts and may be left out.
	Generic *Generic
}

// Recipe is one configured account at a provider of the table. It is safe for concurrent use.
type Recipe struct {
	row       row
	name      string
	live      bool
	keys      []*key
	publicURL string
	apiKey    secret.Value
	apiBase   string
	http      *outbound.Client
	catalogue makegood.Catalogue
	now       func() time.Time
}

var (
	_ provider.Source      = (*Recipe)(nil)
	_ provider.Transmitter = (*Recipe)(nil)
	_ provider.Source      = (*Asking)(nil)
	_ provider.Transmitter = (*Asking)(nil)
	_ provider.Asker       = (*Asking)(nil)
)

// New makes a source, or names everything in the options that is wrong. It refuses to be without a secret and to have an
// empty one, because an empty secret makes forged events valid, a secret that cannot be decoded, a row that is not there,
// and a row that must ask without a key to ask with. The source is a *Recipe, or an *Asking where sessions can be asked for.
func New(o Options) (provider.Source, error) {
	row, err := o.row()
	if err != nil {
		return nil, err
	}
	keys, err := o.keys(row)
	if err := errors.Join(o.problems(row), err); err != nil {
		return nil, err
	}
	r := &Recipe{
		row: row, name: o.Name, live: o.Live, keys: keys, publicURL: o.PublicURL, apiKey: o.APIKey,
		apiBase: strings.TrimSuffix(o.APIBase, "/"), http: o.HTTP, catalogue: o.Catalogue, now: o.Now,
	}
	if r.apiBase == "" {
		r.apiBase = row.apiBase(o.Live)
	}
	if r.http == nil {
		r.http = outbound.New(outbound.Options{})
	}
	if r.now == nil {
		r.now = time.Now
	}
	if row.reading.confirm != nil && !o.APIKey.Empty() {
		return &Asking{r}, nil
	}
	return r, nil
}

// Name returns the source's name in the configuration.
func (r *Recipe) Name() string { return r.name }

// row finds the row of the options, with the reading that a user wrote where the row has none of its own.
func (o Options) row() (row, error) {
	all := table()
	if o.Provider == genericProvider {
		return o.genericRow()
	}
	i := slices.IndexFunc(all, func(r row) bool { return r.info.Name == o.Provider })
	if i < 0 {
		return row{}, fmt.Errorf("recipe: source %q names the provider %q, which is not one of %s", o.Name, o.Provider,
			strings.Join(append(names(all), genericProvider), ", "))
	}
	found := all[i]
	if o.Generic == nil {
		return found, nil
	}
	if len(found.reading.rules) > 0 {
		return row{}, fmt.Errorf("recipe: source %q describes how %s is read, which is known already", o.Name, o.Provider)
	}
	if problems := o.Generic.Reading.validate("reading."); len(problems) > 0 {
		return row{}, fmt.Errorf("recipe: source %q: %s", o.Name, strings.Join(problems, "; "))
	}
	found.reading = o.Generic.Reading.compile()
	return found, nil
}

// keys decodes every secret. No error repeats one.
func (o Options) keys(row row) ([]*key, error) {
	var keys []*key
	var found []error
	if len(o.Secrets) == 0 {
		found = append(found, fmt.Errorf("recipe: source %q has no secret; nothing could be proved", o.Name))
	}
	for i, s := range o.Secrets {
		k, err := row.key.decode(s, row.keyPrefix)
		if err != nil {
			found = append(found, fmt.Errorf("recipe: secret %d of source %q %w", i, o.Name, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, errors.Join(found...)
}

func (o Options) problems(row row) error {
	var found []error
	complain := func(yes bool, format string, args ...any) {
		if yes {
			found = append(found, fmt.Errorf("recipe: "+format, args...))
		}
	}
	complain(o.Name == "", "a source needs a name")
	complain(row.info.NeedsPublicURL && !isAddress(o.PublicURL),
		"source %q needs its exact public address, because %s signs it", o.Name, row.info.Title)
	complain(row.info.NeedsAPIKey && o.APIKey.Empty(),
		"source %q has no API key; what %s delivers is proved by asking only", o.Name, row.info.Title)
	complain(o.APIBase != "" && !isAddress(o.APIBase), "the API base of source %q is not an http or https address", o.Name)
	other := row.keyPrefixes[!o.Live]
	complain(other != "" && strings.HasPrefix(o.APIKey.Reveal(), other),
		"the API key of source %q is of the other mode than the source", o.Name)
	return errors.Join(found...)
}

func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// Info tells people what a provider of the table needs.
type Info struct {
	Name   string // as Options.Provider takes it
	Title  string // as the provider calls itself
	Secret string // what the secret is and where it is found
	// Headers are those that prove a delivery or name it. A provider with none is proved by TokenInAddress, or in its body.
	Headers        []string
	TokenInAddress bool   // the secret stands in the address of the hook, as ?token=…
	NeedsPublicURL bool   // the address of the hook is part of what is signed
	NeedsAPIKey    bool   // nothing is believed that the API does not confirm
	UsesAPIKey     string // what an API key adds where none is needed; "" for nothing
	APIBase        string // where the API answers in live mode; "" for none
	TestAPIBase    string // where it answers in test mode
	Events         string // what to subscribe to
}

// Providers lists what is known of every provider, sorted by name. The generic one is among them.
func Providers() []Info {
	var all []Info
	for _, r := range append(table(), row{info: genericInfo}) {
		r.info.Headers = r.headers()
		all = append(all, r.info)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func names(rows []row) []string {
	set := map[string]bool{}
	for _, r := range rows {
		set[r.info.Name] = true
	}
	return slices.Sorted(maps.Keys(set))
}
