package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
)

// lookWithout is a broken configuration in the way of a command that only looks, and could do without it.
type lookWithout struct{ error }

// Unwrap returns what is wrong with the configuration.
func (e lookWithout) Unwrap() error { return e.error }

// plain is what a person reads of an error: what happened, what it means, what to do next.
func (s *surroundings) plain(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		return s.plainProblems(problems, errors.As(err, new(lookWithout)))
	}
	for _, known := range troubles {
		if errors.Is(err, known.err) {
			return known.says + "\n  cause: " + safe(causeOf(err).Error())
		}
	}
	var own *makegood.Error
	if !errors.As(err, &own) {
		return safe(err.Error())
	}
	if own.Err == nil || own.Code == makegood.NotFound {
		return own.Message
	}
	return own.Message + "\n  cause: " + safe(own.Err.Error())
}

// causeOf is an error without the sentence of ours around it.
func causeOf(err error) error {
	var own *makegood.Error
	if errors.As(err, &own) && own.Err != nil {
		return own.Err
	}
	return err
}

// troubles are what a machine does to a program, with what a person can do about it.
var troubles = []struct {
	err  error
	says string
}{
	{syscall.EADDRINUSE, "The address is taken by another program, perhaps by another makegood. Stop that one, or listen on another port."},
	{syscall.EADDRNOTAVAIL, "This machine does not have the address to listen on. Is the configured address this machine's?"},
	{syscall.EROFS, "The disk is read-only. The database needs a folder that can be written to."},
	{syscall.ENOTDIR, "The path to the database leads through a file that is no folder."},
	{syscall.ENOSPC, "The disk is full. Nothing was half written; free some space and start again."},
	{fs.ErrPermission, "This user may not do that. Does the user who runs makegood own the database's folder, and may it use the port?"},
}

func (s *surroundings) plainProblems(problems config.Problems, onlyLooks bool) string {
	var b strings.Builder
	if len(problems) == 1 && problems[0].Line == 0 {
		fmt.Fprintf(&b, "%s: %s.", s.config, problems[0].Sentence)
	} else {
		fmt.Fprintf(&b, "%s has %s:", s.config, count(len(problems), "problem"))
		for _, p := range problems {
			b.WriteString("\n  " + p.String())
		}
	}
	if onlyLooks {
		b.WriteString("\nTo look into a database without its configuration, name it: --database sqlite:PATH")
	}
	return b.String()
}

// count is a number with its noun: 1 order, 2 orders.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// safe is text from outside as a terminal may have it: a customer's name must not move the cursor.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// oneLine is safe text without line breaks.
func oneLine(s string) string { return safe(strings.ReplaceAll(s, "\n", " ")) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return oneLine(s)
}

func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// sheet writes names and values in two columns.
type sheet struct{ io.Writer }

func (s sheet) row(name, format string, args ...any) {
	fmt.Fprintf(s, "%-12s %s\n", name, oneLine(fmt.Sprintf(format, args...)))
}

// more goes on below the last value.
func (s sheet) more(sentence string) {
	if sentence != "" {
		fmt.Fprintf(s, "%-12s %s\n", "", sentence)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// short rounds a duration to what a person compares.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < 24*time.Hour:
		return d.Round(time.Second).String()
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// span writes a configured time as people write it: 2h, not 2h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// unusable says everything that is wrong with a file whose parts cannot be built, a line each.
func unusable(file string, err error) error {
	return errors.New(file + " cannot be used:\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
}

func total(m makegood.Money) string {
	if m.Currency == "" {
		return "-"
	}
	return m.String()
}
