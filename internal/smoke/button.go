package smoke

import (
	"net/http"
	"net/url"
	"strings"
)

// button is what a visitor may click, with what a browser without JavaScript then does.
type button struct {
	method  string
	address *url.URL
	fields  url.Values // of a form
	product string     // data-product: the page's script would ask the shop for a session; we ask as it would
	dead    string     // why it cannot be clicked, or ""
}

// buttonsMax bounds what is read of one page, fieldsMax what one form sends.
const buttonsMax, fieldsMax = 2000, 500

// reader collects the buttons of a page.
type reader struct {
	base    *url.URL
	buttons []button
	form    *form
	choice  *choice
}

// form is the one that is open.
type form struct {
	method, action string
	fields         url.Values
	submits        []element // what sends it, each a button of its own
}

// choice is the select that is open.
type choice struct {
	name     string
	value    string
	isChosen bool
	hasFirst bool
}

// buttonsOf reads the links, forms and data-product buttons of a page, in their order; forms come where they end.
func buttonsOf(page string, at *url.URL) []button {
	r := &reader{base: at}
	for _, e := range elements(page) {
		if len(r.buttons) >= buttonsMax {
			break
		}
		r.read(e)
	}
	r.endForm() // one that is never closed ends with the page
	return r.buttons
}

func (r *reader) read(e element) {
	switch {
	case e.name == "form" && e.isEnd:
		r.endForm()
	case e.name == "select" && e.isEnd:
		r.endChoice()
	case e.isEnd:
	case e.name == "base" && e.attributes["href"] != "":
		if base, err := r.base.Parse(e.attributes["href"]); err == nil {
			r.base = base
		}
	case e.has("data-product") && !r.needsNoScript(e):
		r.addProduct(e)
	case e.name == "a" && e.has("href"):
		r.addLink(e)
	case e.name == "form" && r.form == nil:
		r.form = &form{method: strings.ToUpper(e.attributes["method"]), action: e.attributes["action"], fields: url.Values{}}
	case r.form != nil:
		r.readField(e)
	}
}

// needsNoScript reports whether something with a data-product also works by itself: a link with an address, or what sends
// a form that has one. Then a visitor without JavaScript goes that way.
func (r *reader) needsNoScript(e element) bool {
	href := strings.ToLower(strings.TrimSpace(e.attributes["href"]))
	if e.name == "a" {
		return href != "" && href[0] != '#' && !strings.HasPrefix(href, "javascript:")
	}
	return r.form != nil && r.form.action != ""
}

func (r *reader) addProduct(e element) {
	b := button{method: http.MethodPost, product: strings.TrimSpace(e.attributes["data-product"])}
	if e.has("disabled") {
		b.dead = "it is disabled"
	}
	r.buttons = append(r.buttons, b)
}

func (r *reader) addLink(e element) {
	address, why := r.resolve(e.attributes["href"])
	r.buttons = append(r.buttons, button{method: http.MethodGet, address: address, dead: why})
}

// resolve makes an address of what stands in the page.
func (r *reader) resolve(text string) (address *url.URL, why string) {
	address, err := r.base.Parse(strings.TrimSpace(text))
	switch {
	case err != nil:
		return &url.URL{}, "its address cannot be read"
	case address.Scheme == "javascript":
		return address, "it does nothing without JavaScript"
	case address.Scheme != "http" && address.Scheme != "https":
		return address, "it leads to no page"
	}
	address.Fragment = ""
	return address, ""
}

// readField adds what a browser sends of a field that nobody has touched.
func (r *reader) readField(e element) {
	name, value := e.attributes["name"], e.attributes["value"]
	switch e.name {
	case "button":
		if kind := strings.ToLower(e.attributes["type"]); kind == "" || kind == "submit" {
			r.form.submits = append(r.form.submits, e)
		}
	case "select":
		r.choice = &choice{name: name}
	case "option":
		r.readOption(e)
	case "textarea":
		r.addField(e, e.text)
	case "input":
		switch strings.ToLower(e.attributes["type"]) {
		case "submit", "image":
			r.form.submits = append(r.form.submits, e)
		case "button", "reset", "file":
		case "checkbox", "radio":
			if !e.has("value") {
				value = "on"
			}
			if e.has("checked") {
				r.addField(e, value)
			}
		default:
			r.addField(e, value)
		}
	}
}

func (r *reader) addField(e element, value string) {
	if name := e.attributes["name"]; name != "" && !e.has("disabled") && len(r.form.fields) < fieldsMax {
		r.form.fields.Add(name, value)
	}
}

func (r *reader) readOption(e element) {
	if r.choice == nil || r.choice.isChosen || e.has("disabled") && !e.has("selected") {
		return
	}
	value := strings.TrimSpace(e.text)
	if e.has("value") {
		value = e.attributes["value"]
	}
	if e.has("selected") || !r.choice.hasFirst {
		r.choice.value, r.choice.hasFirst, r.choice.isChosen = value, true, e.has("selected")
	}
}

func (r *reader) endChoice() {
	if r.choice != nil && r.form != nil && r.choice.name != "" && r.choice.hasFirst && len(r.form.fields) < fieldsMax {
		r.form.fields.Add(r.choice.name, r.choice.value)
	}
	r.choice = nil
}

// endForm makes a button of everything that sends the form; without any it is sent by the enter key.
func (r *reader) endForm() {
	f := r.form
	r.form, r.choice = nil, nil
	if f == nil {
		return
	}
	if len(f.submits) == 0 {
		f.submits = []element{{}}
	}
	for _, e := range f.submits {
		r.buttons = append(r.buttons, r.submit(f, e))
	}
}

func (r *reader) submit(f *form, e element) button {
	action, method := f.action, f.method
	if e.has("formaction") {
		action = e.attributes["formaction"]
	}
	if e.has("formmethod") {
		method = strings.ToUpper(e.attributes["formmethod"])
	}
	address, why := r.resolve(action)
	if e.has("disabled") {
		why = "it is disabled"
	}
	b := button{method: http.MethodGet, address: address, fields: url.Values{}, dead: why}
	if method == http.MethodPost {
		b.method = http.MethodPost
	}
	for name, values := range f.fields {
		b.fields[name] = append([]string(nil), values...)
	}
	if name := e.attributes["name"]; name != "" {
		b.fields.Add(name, e.attributes["value"])
	}
	return b
}
