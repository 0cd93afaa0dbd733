// Package web is the pages for people: one file an action, every page works without JavaScript.
package web

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
)

//go:embed templates/*.html
var templates embed.FS

// Pages renders pages.
type Pages struct {
	log   *slog.Logger
	pages *template.Template
}

// NewPages parses all templates; one that cannot be parsed is a broken build.
func NewPages(log *slog.Logger) *Pages {
	return &Pages{log, template.Must(template.ParseFS(templates, "templates/*.html"))}
}

// policy lets a page show its own style and nothing else: no script, no frame, no request to another host.
const policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// render writes a whole page or nothing of it.
func (p *Pages) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := p.pages.ExecuteTemplate(&page, name, data); err != nil {
		p.log.Error("page cannot be rendered", "page", name, "err", err)
		http.Error(w, "This page cannot be shown just now.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // a reader who hangs up is no error of ours
}
