package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Finder looks whether a message was accepted after all. It is an optional ability of a Sender.
type Finder interface {
	// Find looks for a message with the address, subject and text of m that was accepted at or after a time. found false
	// means that there certainly is none. An error means that it cannot be told; ErrCannotLook that it never can.
	Find(ctx context.Context, m Message, since time.Time) (r Receipt, found bool, err error)
}

// ErrCannotLook: our key may not look at what was sent, or too much was sent since to look through it.
var ErrCannotLook = errors.New("what was sent cannot be looked through")

var _ Finder = (*Resend)(nil)

const (
	// findPagesMax bounds a search: Resend lists at most 100 mails a page, so it goes through 3,000, which at two requests a
	// second fits into one run of a job.
	findPagesMax = 30
	// findPatience bounds the waiting when Resend asks for patience in the middle of a search. Starting anew would never end.
	findPatience = 2 * time.Second
	findPatient  = 2 // how often it waits for one page
	// findMargin is how far Resend's clock may lie from ours.
	findMargin = time.Hour
)

// sentMail is what Resend tells of a mail in a list; Text only when it is asked for by its id (Resend, "List Sent Emails"
// and "Retrieve Email").
type sentMail struct {
	ID        string   `json:"id"`
	To        []string `json:"to"`
	Subject   string   `json:"subject"`
	Text      string   `json:"text"`
	CreatedAt string   `json:"created_at"`
}

// Find goes through what Resend has accepted, newest first, back to since. A key that may only send may not look.
func (r *Resend) Find(ctx context.Context, m Message, since time.Time) (Receipt, bool, error) {
	after := ""
	for range findPagesMax {
		page, more, err := r.sent(ctx, after)
		if err != nil {
			return Receipt{}, false, err
		}
		for _, sent := range page {
			at := sentAt(sent.CreatedAt)
			if !at.IsZero() && at.Before(since.Add(-findMargin)) {
				return Receipt{}, false, nil
			}
			isIt, err := r.isIt(ctx, m, sent)
			if err != nil {
				return Receipt{}, false, err
			}
			if isIt {
				return Receipt{Via: "resend", RemoteID: sent.ID, AcceptedAt: at}, true, nil
			}
		}
		if !more || len(page) == 0 {
			return Receipt{}, false, nil
		}
		after = page[len(page)-1].ID
	}
	return Receipt{}, false, fmt.Errorf("resend: more than %d pages since then: %w", findPagesMax, ErrCannotLook)
}

// isIt compares a mail with ours: the list has address and subject, and only the mail itself has the text, which names
// the order.
func (r *Resend) isIt(ctx context.Context, m Message, sent sentMail) (bool, error) {
	isAddressed := slices.ContainsFunc(sent.To, func(to string) bool { return strings.EqualFold(to, m.To) })
	if !isAddressed || sent.Subject != m.Subject || !remoteID.MatchString(sent.ID) {
		return false, nil
	}
	var whole sentMail
	if err := r.get(ctx, "/emails/"+url.PathEscape(sent.ID), &whole); err != nil {
		return false, err
	}
	if strings.TrimSpace(whole.Text) == "" {
		return false, fmt.Errorf("resend: a mail of this address and subject does not tell its text: %w", ErrCannotLook)
	}
	if order := m.Tags["order"]; order != "" && strings.Contains(m.Text, order) {
		return strings.Contains(whole.Text, order), nil // the text may have been wrapped anew; the order's id stays whole
	}
	return slices.Equal(strings.Fields(whole.Text), strings.Fields(m.Text)), nil
}

func (r *Resend) sent(ctx context.Context, after string) (page []sentMail, more bool, err error) {
	query := url.Values{"limit": {"100"}}
	if after != "" {
		query.Set("after", after)
	}
	var list struct {
		Data    []sentMail `json:"data"`
		HasMore bool       `json:"has_more"`
	}
	err = r.get(ctx, "/emails?"+query.Encode(), &list)
	return list.Data, list.HasMore, err
}

func (r *Resend) get(ctx context.Context, path string, into any) error {
	resp, err := r.do(ctx, http.MethodGet, path, nil, "")
	for range findPatient {
		if err != nil || resp.Status != http.StatusTooManyRequests {
			break
		}
		wait := r.wait(resp, rateWait)
		if wait > findPatience {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		resp, err = r.do(ctx, http.MethodGet, path, nil, "")
	}
	if err != nil {
		return fmt.Errorf("asking resend: %w", err)
	}
	if errorName(resp) == "restricted_api_key" {
		return fmt.Errorf("resend: the API key may only send; one with full access could look: %w", ErrCannotLook)
	}
	if resp.Status == http.StatusTooManyRequests { // an attempt, and no snooze: one that never counts would never end
		return fmt.Errorf("resend: status %d while looking through what was sent", resp.Status)
	}
	if resp.Status != http.StatusOK {
		return r.refusal(resp)
	}
	if err := json.Unmarshal(resp.Body, into); err != nil {
		return errors.New("resend: the list of mails cannot be read")
	}
	return nil
}

// sentAt reads Resend's times, which it writes with a T or a blank and with an offset of two or four digits.
func sentAt(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
