package config

import (
	"time"

	"github.com/makegood/makegood"
)

// The rows that the server's file and the watcher's file share. Each is made anew, so that neither can change the other's.

func logKeys() []key {
	return []key{
		{path: "log", kind: section, meaning: "How the program logs."},
		{path: "log.level", fallback: "info", oneOf: []string{"debug", "info", "warn", "error"}, example: "debug",
			meaning: "The least important message that is written."},
		{path: "log.format", fallback: "text", oneOf: []string{"text", "json"}, example: "json",
			meaning: "Text for people, JSON for machines."},
	}
}

// mailKeys are the rows of a section that sends mail; all are commented out in the starting file when the section is.
func mailKeys(head key) []key {
	rows := []key{
		{path: "mail.from", must: "a mail needs a sender", unit: "address", example: "Shop <shop@example.com>",
			meaning: "The sender. Its domain must be allowed to send: at Resend a verified domain, at SMTP what the server accepts.", start: "Shop <shop@example.com>"},
		{path: "mail.reply_to", shown: "none: answers go to from", unit: "address", example: "help@example.com",
			meaning: "Where answers go.", start: `""`},
		{path: "mail.resend", kind: section, shown: "none", meaning: "The mail API of resend.com."},
		{path: "mail.resend.api_key", kind: secretRef, must: "Resend sends nothing without one", example: "env:RESEND_API_KEY",
			meaning: "The key; one with sending access is enough.", start: "env:RESEND_API_KEY"},
		{path: "mail.resend.api_base", fallback: "https://api.resend.com", unit: "URL", example: "https://api.resend.com",
			meaning: "Where Resend's API is. On loopback or a private network it needs outbound.allow_private."},
		{path: "mail.smtp", kind: section, shown: "none", meaning: "A mail server, instead of resend.", off: true},
		{path: "mail.smtp.host", must: "it is the server that takes the mail", unit: "host", example: "smtp.example.com",
			meaning: "The mail server.", start: "smtp.example.com", off: true},
		{path: "mail.smtp.port", kind: number, shown: "587 for starttls, 465 for implicit, 25 for none", least: 1, most: 65535, unit: "port", example: "587",
			meaning: "Its port.", start: "587", off: true},
		{path: "mail.smtp.username", shown: "none: no authentication", example: "shop",
			meaning: "The user; with it the password.", start: "shop", off: true},
		{path: "mail.smtp.password", kind: secretRef, shown: "none: no authentication", example: "env:SMTP_PASSWORD",
			meaning: "The user's password.", start: "env:SMTP_PASSWORD", off: true},
		{path: "mail.smtp.tls", fallback: "starttls", oneOf: []string{"starttls", "implicit", "none"}, example: "implicit",
			meaning: "How the connection is encrypted: starttls refuses a server without it, implicit is TLS from the first byte, none sends a password to loopback only.", off: true},
	}
	for i := range rows {
		rows[i].off = rows[i].off || head.off
	}
	return append([]key{head}, rows...)
}

func outboundKeys() []key {
	return []key{
		{path: "outbound", kind: section, meaning: "What the program may reach."},
		{path: "outbound.allow_private", kind: flag, fallback: "false", example: "true",
			meaning: "Whether loopback and private networks may be called: for tests, demos and in-house APIs."},
		{path: "outbound.timeout", kind: span, fallback: "10s", shortest: 100 * time.Millisecond, longest: makegood.JobTimeout, unit: "duration", example: "5s",
			meaning: "The longest that one call may take."},
	}
}
