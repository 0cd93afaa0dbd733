package store

import (
	"fmt"
	"slices"
	"strings"
)

// conditions collects the filters of a listing that are set. One text for all of them, as ($1 = ” OR state = $1), would
// be shorter, but no index serves it: at millions of rows a listing would read them all.
type conditions struct {
	terms []string
	args  []any
}

// equal adds a condition unless value is "", and reports whether it did.
func (c *conditions) equal(column, value string) bool {
	if value == "" {
		return false
	}
	c.args = append(c.args, value)
	c.terms = append(c.terms, fmt.Sprintf("%s = $%d", column, len(c.args)))
	return true
}

// compare adds a condition such as "id <" or "received_at >=" against a value.
func (c *conditions) compare(columnAndOperator string, value any) {
	c.args = append(c.args, value)
	c.terms = append(c.terms, fmt.Sprintf("%s $%d", columnAndOperator, len(c.args)))
}

// equalKnown is equal with the value written out when it is one of known, which are words of our own.
func (c *conditions) equalKnown(column, value string, known ...string) {
	if !slices.Contains(known, value) {
		c.equal(column, value)
		return
	}
	c.terms = append(c.terms, column+" = '"+value+"'")
}

// newestFirst is the rest of a listing's text, from WHERE on.
func (c *conditions) newestFirst(max int) string { return c.ordered("DESC", max) }

// oldestFirst is newestFirst the other way round.
func (c *conditions) oldestFirst(max int) string { return c.ordered("ASC", max) }

func (c *conditions) ordered(direction string, max int) string {
	where := ""
	if len(c.terms) > 0 {
		where = " WHERE " + strings.Join(c.terms, " AND ")
	}
	return fmt.Sprintf("%s ORDER BY id %s LIMIT %d", where, direction, limit(max))
}
