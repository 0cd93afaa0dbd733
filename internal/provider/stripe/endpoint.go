package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood/internal/provider/extract"
)

const endpointsPath = "/v1/webhook_endpoints"

// CheckEndpoint looks whether an enabled webhook endpoint leads to address and brings every type of EventTypes. Endpoints of
// connected accounts belong to the account that owns the key, so that one is asked.
//
// Events of any version are understood. Only a preview of a version is trouble, because Stripe may change it any day.
// Event destinations of the second generation of Stripe's API are not in the list that is asked; who has one of those in
// place of an endpoint switches the check off.
func (s *Stripe) CheckEndpoint(ctx context.Context, address string) ([]string, error) {
	all, err := s.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, e := range all {
		if !sameAddress(extract.Identifier(e.Get("url")), address) {
			continue
		}
		if problems = s.troubleOf(e); len(problems) == 0 {
			return nil, nil // one that is good is enough
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	if len(all) == 0 {
		return []string{"there is no webhook endpoint at all"}, nil
	}
	return []string{fmt.Sprintf("none of the %d webhook endpoints leads here; they lead to %s", len(all), hostsOf(all))}, nil
}

func (s *Stripe) endpoints(ctx context.Context) (all []gjson.Result, err error) {
	query := url.Values{"limit": {fmt.Sprint(pageSize)}}
	for more := true; more && len(all) < endpointsMax; {
		var items []gjson.Result
		if items, more, err = s.pageOf(ctx, call{method: http.MethodGet, path: endpointsPath, query: query, asOwner: true}); err != nil {
			return nil, err
		}
		all = append(all, items...)
		if more {
			if err := forward(query, "starting_after", lastID(items)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// troubleOf says what is wrong with an endpoint that leads here.
func (s *Stripe) troubleOf(e gjson.Result) (problems []string) {
	if status := extract.Identifier(e.Get("status")); status != "enabled" {
		problems = append(problems, "the webhook endpoint is "+word(e.Get("status")))
	}
	if live := e.Get("livemode"); live.IsBool() && live.Bool() != s.live {
		problems = append(problems, fmt.Sprintf("the webhook endpoint is in %s mode and the source in %s mode", modeName(live.Bool()), modeName(s.live)))
	}
	if version := extract.Identifier(e.Get("api_version")); strings.HasSuffix(version, ".preview") {
		problems = append(problems, "the webhook endpoint uses a preview of the API, which may change any day")
	}
	var brought []string
	for _, t := range e.Get("enabled_events").Array() {
		brought = append(brought, t.Str)
	}
	if missing := missingTypes(brought); len(missing) > 0 {
		problems = append(problems, "the webhook endpoint does not bring "+strings.Join(missing, ", "))
	}
	return problems
}

func missingTypes(brought []string) []string {
	if slices.Contains(brought, "*") {
		return nil
	}
	return slices.DeleteFunc(EventTypes(), func(t string) bool { return slices.Contains(brought, t) })
}

// sameAddress compares two addresses as a browser would: the host without regard to case, and the port of the scheme is no
// other address.
func sameAddress(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && strings.EqualFold(withoutUsualPort(x), withoutUsualPort(y)) &&
		strings.TrimSuffix(x.Path, "/") == strings.TrimSuffix(y.Path, "/")
}

func withoutUsualPort(u *url.URL) string {
	if u.Scheme == "https" {
		return strings.TrimSuffix(u.Host, ":443")
	}
	return strings.TrimSuffix(u.Host, ":80")
}

// hostsOf names where endpoints lead to, without the paths, in which others may keep a secret.
func hostsOf(all []gjson.Result) string {
	var hosts []string
	for _, e := range all {
		if u, err := url.Parse(extract.Identifier(e.Get("url"))); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	slices.Sort(hosts)
	if hosts = slices.Compact(hosts); len(hosts) > 5 {
		hosts = append(hosts[:5], "others")
	}
	return strings.Join(hosts, ", ")
}
