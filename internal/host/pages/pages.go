// Package pages is a project at Cloudflare Pages.
package pages
