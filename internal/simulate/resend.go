package simulate

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ResendOptions are what a pretend Resend is made of. Every field has a useful zero value.
type ResendOptions struct {
	// APIKey is the only key accepted, re_simulated by default.
	APIKey string
	// Now is the clock for everything stored, time.Now by default.
	Now func() time.Time
	// Rand is where ids come from, crypto/rand by default. It need not be safe for concurrent use.
	Rand io.Reader
	// Domains are the verified ones, from which mail may be sent. Empty means any.
	Domains []string
	// BodyBytesMax is how many bytes of request bodies are kept, 64 MiB by default. When there are more, the oldest
	// mails lose their Raw, HTML and Text, but stay in the inbox. Negative keeps no bodies, for benchmarks.
	BodyBytesMax int64
}

// Mail is a mail that was accepted. Nothing is ever sent.
type Mail struct {
	ID             string
	IdempotencyKey string
	From           string
	To             []string
	Cc, Bcc        []string
	ReplyTo        []string
	Subject        string
	// HTML, Text and Raw, the request body, are empty once the bodies of newer mails needed the room.
	HTML, Text string
	Raw        []byte
	Headers    map[string]string
	Tags       map[string]string
	ReceivedAt time.Time
	// LastEvent is delivered, bounced or complained.
	LastEvent string
}

// ResendFaults are the ways in which a pretend Resend can misbehave. The zero value behaves well. The numbers given to
// the functions count calls of POST /emails and /emails/batch from 1.
type ResendFaults struct {
	// FailSend is asked before a mail is accepted; a status (or Hang, or Abort) other than 0 is the answer, with the error
	// name, or the usual one for the status if the name is empty.
	FailSend func(n int, r *http.Request) (status int, name string)
	// FailAfter is asked after a mail was accepted; a status (or Hang, or Abort) other than 0 replaces the answer.
	FailAfter func(n int, r *http.Request) int
	// Latency is added to every API call before it acts.
	Latency time.Duration
	// BounceAddresses bounce: mail to them is accepted, and its last event is bounced.
	BounceAddresses map[string]bool
	// RatePerSecond, if positive, refuses what exceeds it in one second of Now with rate_limit_exceeded.
	RatePerSecond int
}

// Resend is a pretend Resend that remembers the mails it accepted. It is an http.Handler with the API under /emails and
// the inbox as pages at / and /inbox/{id}. All methods may be called from several goroutines at once. It has no
// goroutines of its own; Close is only needed to end answers that hang.
type Resend struct {
	options ResendOptions
	handler http.Handler
	stop    chan struct{}
	closing sync.Once

	mu        sync.Mutex
	faults    ResendFaults
	calls     int
	keys      keyStore
	mails     ledger[*mail]
	byAddress map[string][]*mail
	bodyBytes int64
	bodied    []*mail // those that still have a body, oldest first
	window    rateWindow
}

// mail is a Mail as kept: the parts of the body are read from raw when asked for, so that they are not held twice.
type mail struct {
	Mail
	raw []byte
}

var _ http.Handler = (*Resend)(nil)

// NewResend returns a Resend with an empty inbox.
func NewResend(o ResendOptions) *Resend {
	setDefault(&o.APIKey, "re_simulated")
	setDefault(&o.BodyBytesMax, bodyBytesMaxDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	r := &Resend{options: o, stop: make(chan struct{}), byAddress: map[string][]*mail{}}
	r.handler = r.routes()
	return r
}

// ServeHTTP answers the API and the inbox pages.
func (r *Resend) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) }

// Close ends answers that hang. Closing twice is harmless.
func (r *Resend) Close() { r.closing.Do(func() { close(r.stop) }) }

func (r *Resend) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /emails", r.api(r.sendOne))
	mux.HandleFunc("POST /emails/batch", r.api(r.sendBatch))
	mux.HandleFunc("GET /emails", r.api(r.list))
	mux.HandleFunc("GET /emails/{id}", r.api(r.retrieve))
	mux.HandleFunc("GET /domains", r.api(r.domains))
	mux.HandleFunc("/emails", r.api(methodNotAllowed))
	mux.HandleFunc("GET /{$}", r.showInbox)
	mux.HandleFunc("GET /inbox/{id}", r.showMail)
	return mux
}

// SetFaults replaces the faults from now on. Zero ResendFaults end all misbehaviour.
func (r *Resend) SetFaults(faults ResendFaults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = faults
}

// Calls is how many times sending was asked for, refused and repeated ones included.
func (r *Resend) Calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// Inbox returns the mails accepted for an address, oldest first; all mails for the empty one. Upper and lower case are
// the same, and "Ann <ann@example.com>" counts as ann@example.com. A repetition under an Idempotency-Key is not a mail.
func (r *Resend) Inbox(address string) []Mail {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.mails.items
	if address != "" {
		found = r.byAddress[bareAddress(address)]
	}
	mails := make([]Mail, 0, len(found))
	for _, m := range found {
		mails = append(mails, m.copy())
	}
	return mails
}

// Count is how many mails were accepted, without the cost of copying them.
func (r *Resend) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mails.items)
}

// Mail returns one mail.
func (r *Resend) Mail(id string) (Mail, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.mails.get(id)
	if !ok {
		return Mail{}, false
	}
	return m.copy(), true
}

// ResetInbox forgets the mails, but not the Idempotency-Keys: a repetition still sends nothing.
func (r *Resend) ResetInbox() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mails = ledger[*mail]{}
	r.byAddress = map[string][]*mail{}
	r.bodyBytes, r.bodied = 0, nil
}

// SetLastEvent changes how a mail ended (bounced, complained, delivered), and reports whether there is such a mail.
func (r *Resend) SetLastEvent(id, event string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.mails.get(id)
	if ok {
		m.LastEvent = event
	}
	return ok
}

func (m *mail) copy() Mail {
	c := m.Mail
	c.To, c.Cc, c.Bcc, c.ReplyTo = slices.Clone(c.To), slices.Clone(c.Cc), slices.Clone(c.Bcc), slices.Clone(c.ReplyTo)
	c.Headers, c.Tags = maps.Clone(c.Headers), maps.Clone(c.Tags)
	c.Raw = slices.Clone(m.raw)
	var body struct{ HTML, Text string }
	if len(m.raw) > 0 && json.Unmarshal(m.raw, &body) == nil {
		c.HTML, c.Text = body.HTML, body.Text
	}
	return c
}

// keep gives an accepted mail its id, puts it into the inbox and makes room for its body.
func (r *Resend) keep(m *mail) {
	m.ID = newUUID(r.options.Rand)
	if slices.ContainsFunc(m.To, r.bounces) {
		m.LastEvent = "bounced"
	}
	r.mails.add(m.ID, m)
	for _, address := range uniqueAddresses(m.To, m.Cc, m.Bcc) {
		r.byAddress[address] = append(r.byAddress[address], m)
	}
	if r.options.BodyBytesMax < 0 {
		m.raw = nil
		return
	}
	r.bodyBytes += int64(len(m.raw))
	r.bodied = append(r.bodied, m)
	for r.bodyBytes > r.options.BodyBytesMax {
		oldest := r.bodied[0]
		r.bodyBytes -= int64(len(oldest.raw))
		oldest.raw = nil
		r.bodied[0] = nil
		r.bodied = r.bodied[1:]
	}
}

func uniqueAddresses(lists ...[]string) []string {
	var all []string
	for _, address := range slices.Concat(lists...) {
		all = append(all, bareAddress(address))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// bareAddress turns "Ann <Ann@Example.com>" into ann@example.com.
func bareAddress(address string) string {
	if open := strings.LastIndexByte(address, '<'); open >= 0 {
		address = strings.TrimSuffix(strings.TrimSpace(address[open+1:]), ">")
	}
	return strings.ToLower(strings.TrimSpace(address))
}

// rateWindow counts the calls of one second.
type rateWindow struct {
	second int64
	calls  int
}

// admit counts a call and returns how many more the second has room for; negative if it had none for this one.
func (w *rateWindow) admit(now time.Time, limit int) int {
	if second := now.Unix(); second != w.second {
		w.second, w.calls = second, 0
	}
	w.calls++
	return limit - w.calls
}
