package smoke

import (
	"html"
	"strings"
)

// element is a start tag or an end tag with what stands between it and the next tag.
type element struct {
	name       string // in lower case
	isEnd      bool
	attributes map[string]string
	text       string // between this tag and the next, entities resolved
}

func (e element) has(name string) bool { _, ok := e.attributes[name]; return ok }

// elements reads a page tag by tag, as tolerantly as browsers do: quotes may be missing, names may be in any case, what is
// not closed ends with the page. It builds no tree. Comments, and what is no markup (scripts, styles, templates that only
// a script would show), are left out. What noscript holds is read: this visitor has no script.
func elements(page string) []element {
	var all []element
	for at := strings.IndexByte(page, '<'); at >= 0; at = strings.IndexByte(page, '<') {
		page = page[at:]
		if rest, ok := strings.CutPrefix(page, "<!--"); ok {
			_, page, _ = strings.Cut(rest, "-->")
			continue
		}
		e, rest, ok := readTag(page)
		if !ok {
			page = page[1:] // a lone "<" is text
			continue
		}
		page = rest
		if !e.isEnd && isRaw(e.name) {
			e.text, page = cutRaw(page, e.name)
		} else if next := strings.IndexByte(page, '<'); next >= 0 {
			e.text = html.UnescapeString(page[:next])
		} else {
			e.text = html.UnescapeString(page)
		}
		if e.name != "script" && e.name != "style" && e.name != "template" {
			all = append(all, e)
		}
	}
	return all
}

// isRaw are the elements whose inside is not read as markup.
func isRaw(name string) bool {
	switch name {
	case "script", "style", "template", "textarea", "title":
		return true
	}
	return false
}

// cutRaw takes what is before the end tag of a raw element. One that is never closed takes the rest of the page.
func cutRaw(page, name string) (inside, rest string) {
	for at := 0; ; at += len("</") {
		end := strings.Index(page[at:], "</")
		if end < 0 {
			return html.UnescapeString(page), ""
		}
		at += end
		if after := page[at+len("</"):]; len(after) >= len(name) && strings.EqualFold(after[:len(name)], name) {
			return html.UnescapeString(page[:at]), page[at:]
		}
	}
}

// readTag reads a tag at the beginning of page.
func readTag(page string) (e element, rest string, ok bool) {
	page = page[1:]
	page, e.isEnd = strings.CutPrefix(page, "/")
	n := strings.IndexFunc(page, func(c rune) bool { return !isNameRune(c) })
	if n <= 0 || page[0] >= '0' && page[0] <= '9' {
		return element{}, "", false
	}
	e.name, page = strings.ToLower(page[:n]), page[n:]
	e.attributes = map[string]string{}
	for len(e.attributes) <= attributesMax {
		page = strings.TrimLeft(page, " \t\r\n\f/")
		if page == "" {
			return e, "", true
		}
		if page[0] == '>' {
			return e, page[1:], true
		}
		var name, value string
		name, value, page = readAttribute(page)
		if _, isKnown := e.attributes[name]; !isKnown && name != "" { // of two the first counts
			e.attributes[name] = value
		}
	}
	_, page, _ = strings.Cut(page, ">")
	return e, page, true
}

// attributesMax bounds the attributes of one tag; frameworks write a dozen.
const attributesMax = 200

func isNameRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// readAttribute reads name, name=value, name="value" or name='value'. It always takes at least one byte.
func readAttribute(page string) (name, value, rest string) {
	end := strings.IndexAny(page[1:], " \t\r\n\f/>=") + 1
	if end == 0 {
		return strings.ToLower(page), "", ""
	}
	name, page = strings.ToLower(page[:end]), strings.TrimLeft(page[end:], " \t\r\n\f")
	if !strings.HasPrefix(page, "=") {
		return name, "", page
	}
	page = strings.TrimLeft(page[1:], " \t\r\n\f")
	if page != "" && (page[0] == '"' || page[0] == '\'') {
		value, rest, _ = strings.Cut(page[1:], page[:1])
		return name, html.UnescapeString(value), rest
	}
	end = strings.IndexAny(page, " \t\r\n\f>")
	if end < 0 {
		end = len(page)
	}
	return name, html.UnescapeString(page[:end]), page[end:]
}
