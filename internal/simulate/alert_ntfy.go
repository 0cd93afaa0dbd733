package simulate

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// NtfyMessage is a message as ntfy keeps it.
type NtfyMessage struct {
	ID         string       `json:"id"`
	SequenceID string       `json:"sequence_id,omitempty"` // only when it was given
	Time       int64        `json:"time"`                  // seconds
	Event      string       `json:"event"`
	Topic      string       `json:"topic"`
	Title      string       `json:"title,omitempty"`
	Message    string       `json:"message"`
	Priority   int          `json:"priority,omitempty"`
	Tags       []string     `json:"tags,omitempty"`
	Click      string       `json:"click,omitempty"`
	Actions    []NtfyAction `json:"actions,omitempty"`
}

// NtfyAction is a button below a message.
type NtfyAction struct {
	Action string `json:"action"`
	Label  string `json:"label"`
	URL    string `json:"url"`
	Method string `json:"method,omitempty"`
	Clear  bool   `json:"clear,omitempty"`
}

// NtfyToken is the access token that a pretend ntfy accepts.
const NtfyToken = "tk_simulatedsimulatedsimulated01"

// Ntfy is a pretend ntfy server of version 2.16: messages are kept, and one with the sequence id of an earlier one takes
// its place on the phones. Requests without a token may publish and read, as on ntfy.sh; one with a wrong token may not.
type Ntfy struct {
	*alertDesk
	messages []NtfyMessage
}

// NewNtfy returns a server without messages.
func NewNtfy(o AlertOptions) *Ntfy {
	n := &Ntfy{alertDesk: newAlertDesk("ntfy", o, ntfyRefusal)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", alertHandler(n.publish))
	mux.HandleFunc("GET /{topic}/json", alertHandler(n.read))
	mux.HandleFunc("/", alertHandler(func(r *http.Request) alertAnswer { return ntfyRefusal(n.alertDesk, r, http.StatusNotFound) }))
	n.handler = mux
	return n
}

// Messages lists all that were published, oldest first, replaced ones included.
func (n *Ntfy) Messages() []NtfyMessage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]NtfyMessage(nil), n.messages...)
}

// Shown lists what a phone shows: of messages with one sequence id the last.
func (n *Ntfy) Shown() []NtfyMessage {
	var shown []NtfyMessage
	at := map[string]int{}
	for _, m := range n.Messages() {
		if i, ok := at[m.SequenceID]; ok && m.SequenceID != "" {
			shown[i] = m
			continue
		}
		at[m.SequenceID] = len(shown)
		shown = append(shown, m)
	}
	return shown
}

// ntfyCodes are the codes of the server's own table (its server/errors.go) for a status.
var ntfyCodes = map[int]struct {
	code int
	text string
}{
	400: {40017, "invalid request: request body must be message JSON"}, 401: {40101, "unauthorized"}, 403: {40301, "forbidden"},
	404: {40401, "page not found"}, 413: {41303, "JSON body too large"}, 429: {42901, "limit reached: too many requests, please be nice"},
	500: {50001, "internal server error"},
}

func ntfyRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	known := ntfyCodes[status]
	if known.code == 0 {
		known.code, known.text = status*100+1, strings.ToLower(http.StatusText(status))
	}
	return ntfyError(status, known.code, known.text, d.waiting(status))
}

func ntfyError(status, code int, text string, header map[string]string) alertAnswer {
	return alertAnswer{status, header, map[string]any{"code": code, "http": status, "error": text, "link": "https://ntfy.sh/docs/publish/"}}
}

var ntfyName = regexp.MustCompile(`^[-_A-Za-z0-9]{1,64}$`)

func (n *Ntfy) isRefused(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" && !hasBearer(r, NtfyToken)
}

func (n *Ntfy) publish(r *http.Request) alertAnswer {
	if n.isRefused(r) {
		return ntfyRefusal(n.alertDesk, r, http.StatusUnauthorized)
	}
	var m NtfyMessage
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return ntfyRefusal(n.alertDesk, r, http.StatusBadRequest)
	}
	switch {
	case !ntfyName.MatchString(m.Topic):
		return ntfyError(http.StatusBadRequest, 40009, "invalid request: topic invalid", nil)
	case m.Priority < 0 || m.Priority > 5:
		return ntfyError(http.StatusBadRequest, 40007, "invalid priority parameter", nil)
	case m.SequenceID != "" && !ntfyName.MatchString(m.SequenceID):
		return ntfyError(http.StatusBadRequest, 40049, "invalid request: sequence ID invalid", nil)
	case len(m.Actions) > 3:
		return ntfyError(http.StatusBadRequest, 40018, "invalid request: actions invalid; only 3 actions allowed", nil)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m.ID, m.Time, m.Event = newID(n.rand, "", 12), n.now().Unix(), "message"
	kind := "publish"
	for _, earlier := range n.messages {
		if m.SequenceID != "" && earlier.SequenceID == m.SequenceID && earlier.Topic == m.Topic {
			kind = "update"
		}
	}
	n.messages = append(n.messages, m)
	n.took(m.ID, kind, m.Title)
	return alertAnswer{body: m}
}

// read is a poll of a topic: what is kept since a time, a line each.
func (n *Ntfy) read(r *http.Request) alertAnswer {
	if n.isRefused(r) {
		return ntfyRefusal(n.alertDesk, r, http.StatusUnauthorized)
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if err != nil || r.URL.Query().Get("poll") != "1" {
		return ntfyError(http.StatusBadRequest, 40008, "invalid since parameter", nil)
	}
	var lines strings.Builder
	for _, m := range n.Messages() {
		if m.Topic == r.PathValue("topic") && m.Time >= since {
			line, err := json.Marshal(m)
			if err != nil {
				panic("simulate: " + err.Error()) // unreachable: our own type
			}
			lines.Write(append(line, '\n'))
		}
	}
	return alertAnswer{header: map[string]string{"Content-Type": "application/x-ndjson; charset=utf-8"}, body: lines.String()}
}
