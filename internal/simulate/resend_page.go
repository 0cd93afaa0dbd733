package simulate

import (
	"net/http"
	"slices"
)

// showInbox is the list of the newest mails.
func (r *Resend) showInbox(w http.ResponseWriter, _ *http.Request) {
	showPage(w, http.StatusOK, "resend_inbox", r.newest())
}

// Mails lists all mails that were taken, newest first.
func (r *Resend) Mails() []Mail { return r.newest() }

func (r *Resend) newest() []Mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	var mails []Mail
	for _, m := range slices.Backward(r.mails.items) {
		if len(mails) == pageRowsMax {
			break
		}
		mails = append(mails, m.copy())
	}
	return mails
}

func (r *Resend) showMail(w http.ResponseWriter, req *http.Request) {
	m, ok := r.Mail(req.PathValue("id"))
	if !ok {
		http.NotFound(w, req)
		return
	}
	showPage(w, http.StatusOK, "resend_mail", m)
}
