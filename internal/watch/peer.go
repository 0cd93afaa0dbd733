package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
)

// The beats. The watcher sends one every few seconds, and the server's own is the answer: so a server behind a firewall needs
// no way to its watcher, and each side still hears the other. Both are signed with one secret, rise in sequence, and the
// answer names the beat that it answers: an old one that somebody kept proves nothing.

// BeatHeader carries the signature of a beat, in hexadecimal digits.
const BeatHeader = "Makegood-Beat"

// BeatPath is where the server hears beats.
const BeatPath = "/watch/beat"

// BeatBytesMax bounds a beat; one has a few hundred bytes.
const BeatBytesMax = 16 << 10

// signed is what is sent: a beat, and which one it answers.
type signed struct {
	Beat    makegood.PeerBeat `json:"beat"`
	Answers int64             `json:"answers,omitempty"`
}

// The roles, which are signed too, so that nobody can send a side its own words back.
const (
	RoleServer  = "server"
	RoleWatcher = "watcher"
)

func sign(key secret.Value, role string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write([]byte("makegood beat v1\x00" + role + "\x00"))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// openBeat proves a beat of a role.
func openBeat(key secret.Value, role string, body []byte, signature string) (signed, error) {
	var s signed
	if key.Empty() || !hmac.Equal([]byte(signature), []byte(sign(key, role, body))) {
		return s, makegood.Errorf(makegood.Unauthorized, "This beat is not signed with the secret that server and watcher share.")
	}
	if err := json.Unmarshal(body, &s); err != nil || s.Beat.Role != role {
		return s, makegood.Errorf(makegood.Invalid, "This beat cannot be read.")
	}
	return s, nil
}

// PeerStore keeps the newest beat of the other side.
type PeerStore interface {
	KeepPeerBeat(ctx context.Context, name string, b makegood.PeerBeat) error
	PeerBeat(ctx context.Context, name string) (b makegood.PeerBeat, heard time.Time, err error)
	HouseValue(ctx context.Context, name string, first func() string) (string, error)
	KeepHouseValue(ctx context.Context, name, value string) error
}

// Own is how a process speaks of itself. It is called for every beat and must return soon; what it cannot find out it says
// in Ill.
type Own func(ctx context.Context) makegood.PeerBeat

// Hearing is the server's end of the beats.
type Hearing struct {
	Secret secret.Value
	Store  PeerStore
	Own    Own
	Now    func() time.Time
	Host   string
	Silent time.Duration // after which the watcher is taken for dead

	mu      sync.Mutex
	newest  int64     // the sequence that was seen last, by whichever node heard it
	since   time.Time // when we saw it first
	looked  time.Time // when we looked last
	refused int
}

// Hear proves a beat of the watcher, keeps it, and returns the signed answer. A forged one is makegood.Unauthorized, one
// that was heard before makegood.Conflict. Only once it is kept is it answered: a server that cannot write is not well.
func (h *Hearing) Hear(ctx context.Context, body []byte, signature string) (answer []byte, answerSignature string, err error) {
	s, err := openBeat(h.Secret, RoleWatcher, body, signature)
	if err == nil {
		err = h.Store.KeepPeerBeat(ctx, RoleWatcher, s.Beat)
	}
	if err != nil {
		if code := makegood.CodeOf(err); code == makegood.Unauthorized || code == makegood.Conflict || code == makegood.Invalid {
			h.mu.Lock()
			h.refused++
			h.mu.Unlock()
		}
		return nil, "", err
	}
	h.mu.Lock()
	h.newest, h.since = max(h.newest, s.Beat.Sequence), h.Now()
	h.mu.Unlock()
	own := h.Own(ctx)
	own.Role, own.Sequence, own.At, own.Host = RoleServer, s.Beat.Sequence, h.Now(), h.Host
	if answer, err = json.Marshal(signed{Beat: own, Answers: s.Beat.Sequence}); err != nil {
		return nil, "", err
	}
	return answer, sign(h.Secret, RoleServer, answer), nil
}

// Refused is how many beats were forged, repeated or unreadable since the start.
func (h *Hearing) Refused() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}

// stopLeast is after how long without a look we were stopped ourselves. Looks come every few seconds.
const stopLeast = 2 * time.Minute

// last returns the newest beat and for how long nothing newer was heard, by any node. That counts from when we saw it, and not
// from a time that was written down: the wall may have been set since. What was said while we did not run, or were stopped,
// says nothing of now; the watcher gets its time to be heard again.
func (h *Hearing) last(ctx context.Context) (b makegood.PeerBeat, age time.Duration, err error) {
	b, _, err = h.Store.PeerBeat(ctx, RoleWatcher)
	if errors.Is(err, makegood.NotFound) {
		err = nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.since.IsZero() || b.Sequence > h.newest || now.Sub(h.looked) > max(stopLeast, h.Silent) {
		h.newest, h.since = max(h.newest, b.Sequence), now
	}
	h.looked = now
	return b, now.Sub(h.since), err
}

// Silence is red when the watcher was not heard for too long.
func (h *Hearing) Silence() probe.Prober {
	return looked(h.Now, func(ctx context.Context) (string, error) {
		b, age, err := h.last(ctx)
		if err != nil || age <= h.Silent {
			return "", err
		}
		if b.From == "" {
			return fmt.Sprintf("no watcher was heard since the start %s ago", age.Round(time.Second)), nil
		}
		return fmt.Sprintf("[SILENCE] <= %s (%s since the last word of %s)", h.Silent, age.Round(time.Second), b.From), nil
	})
}

// Company is red when the watcher runs on our machine.
func (h *Hearing) Company() probe.Prober {
	return looked(h.Now, func(ctx context.Context) (string, error) {
		b, _, err := h.last(ctx)
		if err != nil || b.From == "" || b.Drill || b.Host != h.Host {
			return "", err
		}
		return "the watcher runs on this machine: what stops the server stops it too", nil
	})
}

// Skew is red when the clocks differ.
func (h *Hearing) Skew() probe.Prober {
	return looked(h.Now, func(ctx context.Context) (string, error) {
		b, heard, err := h.Store.PeerBeat(ctx, RoleWatcher)
		if errors.Is(err, makegood.NotFound) {
			return "", nil
		}
		return skewTrouble(b.At.Sub(heard)), err
	})
}

// Worry is red when the watcher says that it is not well, or cannot tell people what it should.
func (h *Hearing) Worry() probe.Prober {
	return looked(h.Now, func(ctx context.Context) (string, error) {
		b, _, err := h.last(ctx)
		return worryOf(b), err
	})
}

// Blindness is red when the watcher says that it cannot see the network: it tells what it can, and we tell it too.
func (h *Hearing) Blindness() probe.Prober {
	return looked(h.Now, func(ctx context.Context) (string, error) {
		b, _, err := h.last(ctx)
		if err != nil || !b.Blind {
			return "", err
		}
		return b.From + " says that it cannot see the network, so nobody watches", nil
	})
}

// The bounds of what a peer may say of itself.
const (
	skewMax = 5 * time.Second
	// unsentMax is how long a notice may wait that is due; a channel that fails and the next rung take ten seconds together.
	unsentMax = 60 * time.Second
)

func skewTrouble(skew time.Duration) string {
	if skew < 0 {
		skew = -skew
	}
	if skew <= skewMax {
		return ""
	}
	return fmt.Sprintf("[SKEW] <= %s (%s between the two clocks)", skewMax, skew.Round(time.Millisecond))
}

func worryOf(b makegood.PeerBeat) string {
	if b.Ill != "" {
		return "it says of itself: " + b.Ill
	}
	if waits := b.At.Sub(b.UnsentSince); !b.UnsentSince.IsZero() && waits > unsentMax {
		return fmt.Sprintf("[UNSENT] <= %s (its oldest notice waits for %s)", unsentMax, waits.Round(time.Second))
	}
	return ""
}

// looked makes a prober of a question. A question that cannot be asked says nothing about what it is about: the database has
// a check of its own.
func looked(now func() time.Time, ask func(ctx context.Context) (string, error)) probe.Prober {
	return lookFunc(func(ctx context.Context) probe.Sight {
		began := now()
		trouble, err := ask(ctx)
		return probe.Sight{At: began, Took: now().Sub(began), Trouble: trouble, Unknown: err != nil}
	})
}

type lookFunc func(ctx context.Context) probe.Sight

// Look asks.
func (f lookFunc) Look(ctx context.Context) probe.Sight { return f(ctx) }

// Beating is the watcher's end: looking at it sends a beat and judges the answer.
type Beating struct {
	URL    string // of the server, without a slash at the end
	Secret secret.Value
	Store  PeerStore
	Own    Own
	HTTP   *outbound.Client
	Now    func() time.Time
	Host   string
	Name   string
	Drill  bool

	mu       sync.Mutex
	sequence int64
	answer   makegood.PeerBeat
	heard    time.Time
	skew     time.Duration
}

// sequenceName is under which the last sequence is kept, so that it rises over a restart with a clock that was set back.
const sequenceName = "beat-sequence"

// Look exchanges a beat. It is red when there is no proved answer to this very beat.
func (p *Beating) Look(ctx context.Context) probe.Sight {
	began := p.Now()
	trouble := p.exchange(ctx)
	return probe.Sight{At: began, Took: p.Now().Sub(began), Trouble: trouble}
}

func (p *Beating) exchange(ctx context.Context) (trouble string) {
	// A watcher that cannot write would watch and tell nobody. It falls silent instead, and the server tells.
	sequence, err := p.next(ctx)
	if err != nil {
		return "our own database cannot be written"
	}
	own := p.Own(ctx)
	own.From, own.Role, own.Sequence, own.At, own.Host, own.Drill = p.Name, RoleWatcher, sequence, p.Now(), p.Host, p.Drill
	body, err := json.Marshal(signed{Beat: own})
	if err != nil {
		return "a beat does not encode"
	}
	req, err := http.NewRequest(http.MethodPost, p.URL+BeatPath, bytes.NewReader(body))
	if err != nil {
		return "the address of the server is none"
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(BeatHeader, sign(p.Secret, RoleWatcher, body))
	resp, err := p.HTTP.Do(ctx, req)
	if err != nil {
		return "the server does not answer: " + err.Error()
	}
	if resp.Status != http.StatusOK {
		return fmt.Sprintf("[BEAT] == 200 (%d)", resp.Status)
	}
	s, err := openBeat(p.Secret, RoleServer, resp.Body, resp.Header.Get(BeatHeader))
	switch {
	case err != nil:
		return "the answer is not signed with the shared secret"
	case s.Answers != sequence:
		return "the answer is that of another beat"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Now()
	p.answer, p.heard = s.Beat, now
	// Half of the way there and back is not skew.
	p.skew = s.Beat.At.Sub(own.At.Add(now.Sub(own.At) / 2))
	return ""
}

// next gives the sequence of a beat and keeps it before it is used.
func (p *Beating) next(ctx context.Context) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sequence == 0 {
		text, err := p.Store.HouseValue(ctx, sequenceName, func() string { return "0" })
		if err != nil {
			return 0, err
		}
		if p.sequence, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, fmt.Errorf("the kept sequence: %w", err)
		}
	}
	sequence := max(p.sequence+1, p.Now().UnixMicro())
	if err := p.Store.KeepHouseValue(ctx, sequenceName, strconv.FormatInt(sequence, 10)); err != nil {
		return 0, err
	}
	p.sequence = sequence
	return sequence, nil
}

// Answer is the server's last proved answer and when it was heard; the zero time before the first.
func (p *Beating) Answer() (makegood.PeerBeat, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer, p.heard
}

// IsIndependent reports whether the server runs on another machine, as far as is known.
func (p *Beating) IsIndependent() (independent, known bool) {
	answer, heard := p.Answer()
	return answer.Host != p.Host, !heard.IsZero()
}

// Company is red when the server runs on our machine, unless this is a drill.
func (p *Beating) Company() probe.Prober {
	return looked(p.Now, func(context.Context) (string, error) {
		if independent, known := p.IsIndependent(); !known || independent || p.Drill {
			return "", nil
		}
		return "the server runs on this machine: what stops it stops this watcher too", nil
	})
}

// Skew is red when the clocks differ.
func (p *Beating) Skew() probe.Prober {
	return looked(p.Now, func(context.Context) (string, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return skewTrouble(p.skew), nil
	})
}

// Worry is red when the server says that it is not well, or cannot tell people what it should.
func (p *Beating) Worry() probe.Prober {
	return looked(p.Now, func(context.Context) (string, error) {
		answer, _ := p.Answer()
		return worryOf(answer), nil
	})
}
