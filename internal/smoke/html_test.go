package smoke

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestElements(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, page string
		want       []element
	}{
		{"quotes of all kinds", `<A HREF="/a" title='b "c"' data-x=y>T &amp; t</a>`, []element{
			{name: "a", attributes: map[string]string{"href": "/a", "title": `b "c"`, "data-x": "y"}, text: "T & t"}, {name: "a", isEnd: true, attributes: map[string]string{}}}},
		{"an attribute without a value", `<button disabled>`, []element{{name: "button", attributes: map[string]string{"disabled": ""}}}},
		{"an attribute twice", `<a href=1 href=2>`, []element{{name: "a", attributes: map[string]string{"href": "1"}}}},
		{"blanks around the sign", "<a href = \n '/a'>", []element{{name: "a", attributes: map[string]string{"href": "/a"}}}},
		{"closed by itself", `<input name=a value=b />`, []element{{name: "input", attributes: map[string]string{"name": "a", "value": "b"}}}},
		{"a greater-than in quotes", `<a href="/a>b">`, []element{{name: "a", attributes: map[string]string{"href": "/a>b"}}}},
		{"cut in a tag", `<a href="/a`, []element{{name: "a", attributes: map[string]string{"href": "/a"}}}},
		{"cut in a name", `<a hre`, []element{{name: "a", attributes: map[string]string{"hre": ""}}}},
		{"no tags", `1 < 2 <3 <> </> <!doctype html> <`, nil},
		{"a comment that never ends", `<!-- <a href=1>`, nil},
		{"a script that never ends", `<script><a href=1>`, nil},
		{"a title with signs that grow in small letters", "<title>\u0130\u0130 </b></TITLE >", []element{
			{name: "title", attributes: map[string]string{}, text: "\u0130\u0130 </b>"}, {name: "title", isEnd: true, attributes: map[string]string{}}}},
		{"a text area", `<textarea name=t><b>&lt;</textarea>`, []element{
			{name: "textarea", attributes: map[string]string{"name": "t"}, text: "<b><"}, {name: "textarea", isEnd: true, attributes: map[string]string{}}}},
	} {
		if diff := cmp.Diff(tt.want, elements(tt.page), cmp.AllowUnexported(element{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A form sends what a browser sends of it when nobody has touched it.
func TestFieldsOfAForm(t *testing.T) {
	t.Parallel()
	page := `<form method=POST action=/x>
		<input name=a value=1><input type=hidden name=b value=2><input name=c value=3 disabled><input value=4>
		<input type=checkbox name=d><input type=checkbox name=e checked><input type=radio name=f value=1><input type=radio name=f value=2 checked>
		<select name=g><option value=1>one<option>two</select><select name=h><option value=1><option value=2 selected><option value=3></select>
		<select name=i></select><select name=j><option disabled value=1><option value=2></select>
		<textarea name=k>text</textarea><input type=file name=l><input type=button name=m value=1><input type=reset name=n>
		<button type=button name=o value=1></button><button name=p value=1></button><input type=submit name=q value=2></form>`
	at := &url.URL{Scheme: "https", Host: "shop.example"}
	all := buttonsOf(page, at)
	if len(all) != 2 {
		t.Fatalf("buttons = %+v, want two that send the form", all)
	}
	common := "a=1&b=2&e=on&f=2&g=1&h=2&j=2&k=text&"
	for i, want := range []string{common + "p=1", common + "q=2"} {
		if got := all[i].fields.Encode(); got != want || all[i].method != "POST" || all[i].address.String() != "https://shop.example/x" {
			t.Errorf("button %d sends %s %s %s, want %s", i, all[i].method, all[i].address, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"/buy", "/buy", true}, {"/buy", "/buy/1", false}, {"/buy*", "/buy/1", true}, {"*1", "/buy/1", true}, {"/*/1", "/buy/x/1", true},
		{"/*/2", "/buy/1", false}, {"*", "", true}, {"a*a", "a", false}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false},
	} {
		if got := matches(tt.pattern, tt.text); got != tt.want {
			t.Errorf("matches(%q, %q) = %v, want %v", tt.pattern, tt.text, got, tt.want)
		}
	}
}

// Whatever a page is, reading it ends and breaks nothing.
func FuzzButtons(f *testing.F) {
	for _, seed := range []string{"<a href=1>", "<form><input name=a><button>", "<!--", "<script></", "<a =\"", "<select><option"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, page string) {
		at := &url.URL{Scheme: "https", Host: "shop.example"}
		for _, b := range buttonsOf(page, at) {
			if b.product == "" && b.address == nil && b.method != "POST" {
				t.Errorf("a button of %q leads nowhere: %+v", page, b)
			}
		}
		if n := len(elements(page)); n > strings.Count(page, "<") {
			t.Errorf("%d elements of %q", n, page)
		}
	})
}
