package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
)

// printableChannel is a channel without topics, which are half a secret, and without people's addresses and numbers.
type printableChannel struct {
	Name  string
	Kind  string
	Quiet bool
}

func (c Channel) printable() printableChannel { return printableChannel{c.Name, c.Kind, c.Quiet} }

// Format prints name and kind for any verb, and neither whom it reaches nor how.
func (c Channel) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), c.printable())
}

// LogValue is Format for slog.
func (c Channel) LogValue() slog.Value { return slog.AnyValue(c.printable()) }

// MarshalJSON is Format for JSON.
func (c Channel) MarshalJSON() ([]byte, error) { return json.Marshal(c.printable()) }

// printableMonitor is a Monitor without the methods that lead back here, and without what may prove who asks.
type printableMonitor Monitor

func (m Monitor) printable() printableMonitor {
	m.Headers, m.Body = nil, ""
	m.URL = withoutQuery(m.URL)
	return printableMonitor(m)
}

// withoutQuery is an address without what people put tokens into.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.RawQuery, u.Fragment, u.ForceQuery = "", "", false
	return u.String()
}

// Format prints m for any verb without headers, body and query.
func (m Monitor) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), m.printable())
}

// LogValue is Format for slog.
func (m Monitor) LogValue() slog.Value { return slog.AnyValue(m.printable()) }

// MarshalJSON is Format for JSON.
func (m Monitor) MarshalJSON() ([]byte, error) { return json.Marshal(m.printable()) }
