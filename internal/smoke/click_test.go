package smoke_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/smoke"
)

const paying = "https://checkout.stripe.com/c/pay/cs_test_1?key=hush"

// deployment is a shop whose page is what a test says.
func deployment(t *testing.T, page string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /buy", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "visitor", Value: "v1", Path: "/"})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	to := func(address string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, status) }
	}
	mux.HandleFunc("GET /away", to(paying, http.StatusFound))
	mux.HandleFunc("GET /twice", to("/away", http.StatusMovedPermanently))
	mux.HandleFunc("GET /evil", to("https://checkout.stripe.com.evil.example/pay?key=hush", http.StatusFound))
	mux.HandleFunc("GET /round", to("/round", http.StatusFound))
	mux.HandleFunc("GET /lost", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "soon") })
	mux.HandleFunc("/keeps", to("/form", http.StatusTemporaryRedirect))
	mux.HandleFunc("GET /old", to("/buy", http.StatusFound))
	mux.HandleFunc("GET /outside", to("https://elsewhere.example/", http.StatusFound))
	mux.HandleFunc("GET /hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("visitor")
		if err != nil || cookie.Value != "v1" || r.Header.Get("Origin") != "http://"+r.Host || r.Header.Get("Makegood-Synthetic") != "marked" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		if got := r.FormValue("product") + "," + r.FormValue("n") + "," + r.FormValue("go"); r.Method != http.MethodPost || got != "az-900,2,buy" {
			http.Error(w, got, http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, paying, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "product=az-900" {
			http.Redirect(w, r, paying, http.StatusFound)
		}
	})
	mux.HandleFunc("POST /api/checkout", func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ Product string }
		_ = json.NewDecoder(r.Body).Decode(&ask)
		answers := map[string]struct {
			status int
			body   string
		}{
			"az-900": {201, `{"url":"` + paying + `"}`}, "gone": {422, `{"error":{"code":"unknown_product"}}`}, "html": {201, "<h1>Hello</h1>"},
			"empty": {201, `{}`}, "evil": {201, `{"url":"https://evil.example/pay?key=hush"}`}, "down": {503, "sorry ann@example.com"},
		}
		a := answers[ask.Product]
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func clickOf(t *testing.T, page string, change func(*smoke.ClickOptions)) *smoke.Click {
	t.Helper()
	way := outbound.New(outbound.Options{AllowPrivate: true})
	t.Cleanup(way.CloseIdle)
	o := smoke.ClickOptions{Page: page, Checkout: []string{"https://checkout.stripe.com"}, HTTP: way,
		Mark: func(r *http.Request) { r.Header.Set("Makegood-Synthetic", "marked") }}
	if change != nil {
		change(&o)
	}
	click, err := smoke.NewClick(o)
	if err != nil {
		t.Fatal(err)
	}
	return click
}

func TestClick(t *testing.T) {
	t.Parallel()
	const form = `<form action="/form" method="post"><input type=hidden name=product value="az-900"><select name=n><option>1<option value=2 selected>two</select>` +
		`<input type=checkbox name=gift><button name=go value=buy>Buy</button></form>`
	for _, tt := range []struct {
		name, page, button string
		want               string // "" is that it arrives
	}{
		// The shapes of a button.
		{"a link that leads to the checkout", `<a href="https://checkout.stripe.com/pay/1">Buy</a>`, "", ""},
		{"a link of our own", `<a href="/about">About</a> <a class=buy href='/away'>Buy</a>`, "/away", ""},
		{"a link that is redirected twice", `<a href="twice">Buy</a>`, "*twice", ""},
		{"a form that posts", form, "/form", ""},
		{"a form that posts and is sent on", strings.Replace(form, "/form", "/keeps", 1), "/keeps", ""},
		{"a form that asks", `<form action="/search?x=1"><input name=product value=az-900></form>`, "/search*", ""},
		{"a button with an address of its own", strings.NewReplacer(`"/form"`, `"/nowhere"`, `<button `, `<button formaction="/form" `).Replace(form), "/form", ""},
		{"a form that is never closed", strings.TrimSuffix(form, "</form>"), "/form", ""},
		{"a button with a product", `<button data-product="az-900">Buy</button>`, "", ""},
		{"a button with a product, by its code", `<button data-product="other">Other</button><button data-product="az-900">Buy</button>`, "az-*", ""},
		{"a button with a product, by where it posts", `<button data-product="az-900">Buy</button>`, "/api/checkout", ""},
		{"a link with a product and an address", `<a data-product="gone" href="/away">Buy</a>`, "/away", ""},
		{"a link with a product alone", `<a data-product="az-900" href="#">Buy</a>`, "az-900", ""},
		{"a base", `<base href="/away"><a href="?">Buy</a>`, "/away*", ""},
		{"an address with signs", `<a href="/away?a=1&amp;b=2">Buy</a>`, "*a=1&b=2", ""},
		{"a button for those without JavaScript", `<noscript><a href="/away">Buy</a></noscript>`, "/away", ""},

		// What is wrong.
		{"no button", `<a href="/about">About</a>`, "/away", "the page has the button (none of its 1 links, forms and buttons leads there)"},
		{"a button in a comment", `<!-- <a href="/away">Buy</a> -->`, "/away", "the page has the button"},
		{"a button in a script", `<script>var a = '<a href="/away">Buy</a>'</script>`, "/away", "the page has the button"},
		{"a button that a script would show", `<template><a href="/away">Buy</a></template>`, "/away", "the page has the button"},
		{"a button that is disabled", `<button data-product="az-900" disabled>Buy</button>`, "", "the button can be clicked (it is disabled)"},
		{"a form whose button is disabled", strings.Replace(form, "<button ", "<button disabled ", 1), "/form", "the button can be clicked (it is disabled)"},
		{"a link that needs JavaScript", `<a href="javascript:buy()">Buy</a>`, "javascript:*", "it does nothing without JavaScript"},
		{"a link to no page", `<a href="mailto:shop@example.com">Buy</a>`, "mailto:*", "it leads to no page"},
		{"a link elsewhere", `<a href="https://evil.example/away?key=hush">Buy</a>`, "*away*", "the button leads to a checkout (it leads to https://evil.example/away)"},
		{"a redirect elsewhere", `<a href="/evil">Buy</a>`, "/evil", "(it leads to https://checkout.stripe.com.evil.example/pay)"},
		{"a redirect without end", `<a href="/round">Buy</a>`, "/round", "within 10 redirects"},
		{"a redirect to nowhere", `<a href="/lost">Buy</a>`, "/lost", "/lost with status 302)"},
		{"an end at a page", `<a href="/page">Buy</a>`, "/page", "/page with status 200)"},
		{"an end at no page", `<a href="/nothing">Buy</a>`, "/nothing", "/nothing with status 404)"},
		{"a form without its hidden field", strings.Replace(form, "name=product", "", 1), "/form", "/form with status 400)"},
		{"a product that is gone", `<button data-product="gone">Buy</button>`, "", "the checkout [STATUS] == 201 (422 unknown_product)"},
		{"a shop that is down", `<button data-product="down">Buy</button>`, "", "the checkout [STATUS] == 201 (503)"},
		{"a page in place of JSON", `<button data-product="html">Buy</button>`, "", "the checkout answers with an address"},
		{"an answer without an address", `<button data-product="empty">Buy</button>`, "", "the checkout answers with an address"},
		{"an address elsewhere", `<button data-product="evil">Buy</button>`, "", "(it leads to https://evil.example/pay)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := deployment(t, "<!DOCTYPE html><html><body><p>1 < 2"+tt.page+"</body></html>")
			sight := clickOf(t, server.URL+"/old", func(o *smoke.ClickOptions) { o.Button = tt.button }).Look(t.Context())
			if tt.want == "" && sight.Trouble != "" || !strings.Contains(sight.Trouble, tt.want) || sight.Unknown {
				t.Errorf("sight = %+v, want %q", sight, tt.want)
			}
			if strings.Contains(sight.Trouble, "hush") || strings.Contains(sight.Trouble, "ann@") {
				t.Errorf("trouble %q shows too much", sight.Trouble)
			}
		})
	}
}

func TestClickPage(t *testing.T) {
	t.Parallel()
	server := deployment(t, `<a href="/away">Buy</a>`)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct{ name, page, want string }{
		{"no such page", server.URL + "/nothing", "the page [STATUS] == 200 and HTML (404, text/plain)"},
		{"no page", server.URL + "/page", "(200, text/plain)"},
		{"a page that is elsewhere", server.URL + "/outside", "the page stays on its host (it leads to https://elsewhere.example/)"},
		{"a page without end", server.URL + "/round", "the page is reached within 10 redirects"},
		{"nobody there", gone.URL + "/buy", "the page answers (" + gone.URL},
		{"no answer", server.URL + "/hang", "the page answers (no answer in time)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if strings.HasSuffix(tt.page, "/hang") {
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			if sight := clickOf(t, tt.page, nil).Look(ctx); !strings.Contains(sight.Trouble, tt.want) {
				t.Errorf("trouble = %q, want %q", sight.Trouble, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sight := clickOf(t, server.URL+"/buy", nil).Look(ctx); !sight.Unknown || sight.Trouble != "" {
		t.Errorf("a look that was called off = %+v, want unknown", sight)
	}
}

func TestNewClickRefuses(t *testing.T) {
	t.Parallel()
	way := outbound.New(outbound.Options{})
	good := smoke.ClickOptions{Page: "https://shop.example/buy", Checkout: []string{"https://checkout.stripe.com/"}, HTTP: way}
	for name, change := range map[string]func(*smoke.ClickOptions){
		"a page without a host":     func(o *smoke.ClickOptions) { o.Page = "/buy" },
		"no checkout":               func(o *smoke.ClickOptions) { o.Checkout = nil },
		"a checkout without a host": func(o *smoke.ClickOptions) { o.Checkout = []string{"checkout.stripe.com"} },
		"no way out":                func(o *smoke.ClickOptions) { o.HTTP = nil },
		"an address that is none":   func(o *smoke.ClickOptions) { o.API = "http://[" },
	} {
		o := good
		change(&o)
		if _, err := smoke.NewClick(o); err == nil {
			t.Errorf("%s: NewClick = nil, want an error", name)
		}
	}
	if _, err := smoke.NewClick(good); err != nil {
		t.Errorf("NewClick = %v, want nil", err)
	}
}
