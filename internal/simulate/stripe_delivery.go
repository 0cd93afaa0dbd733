package simulate

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// delivery is one event on its way to one endpoint.
type delivery struct {
	event       *event
	endpoint    *endpoint
	attempts    int // requests, of any kind
	tries       int // automatic ones, which the schedule counts
	lastStatus  int
	lastError   string
	isDelivered bool
	nextAttempt time.Time
}

// attempt is one request to be made. A copy (a duplicate, a manual one) is not followed by a retry. The attempt next
// becomes due when this one has ended: so a chosen order is kept.
type attempt struct {
	delivery *delivery
	due      time.Time
	number   int
	isCopy   bool
	next     *attempt
}

// attempts is a heap, the one due first in front.
type attempts []*attempt

func (h attempts) Len() int { return len(h) }
func (h attempts) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].number < h[j].number
}
func (h attempts) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap.
func (h *attempts) Push(x any) { *h = append(*h, x.(*attempt)) }

// Pop removes the last element.
func (h *attempts) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// courier carries attempts to their endpoints: one goroutine waits for the next due one, and at most Concurrency
// goroutines carry. What is not a channel is guarded by the mutex of the Stripe.
type courier struct {
	waiting  attempts
	number   int
	inFlight int
	isClosed bool
	changed  chan struct{} // closed at the next end of an attempt; nil if nobody waits
	wake     chan struct{} // size 1: a nudge while one is pending says nothing new
	stop     chan struct{}
	done     chan struct{}
	once     sync.Once
}

func (c *courier) start(s *Stripe) {
	c.wake = make(chan struct{}, 1)
	c.stop = make(chan struct{})
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		c.run(s)
	}()
}

func (c *courier) close() {
	c.once.Do(func() { close(c.stop) })
	<-c.done
}

// run hands due attempts out until stop, then waits for those in flight.
func (c *courier) run(s *Stripe) {
	ctx, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, s.options.Concurrency) // its size is the limit of goroutines that carry
	var carriers sync.WaitGroup
	defer func() {
		cancel()
		carriers.Wait()
		s.mu.Lock()
		c.isClosed = true
		c.tell()
		s.mu.Unlock()
	}()
	for {
		a, wait := c.take(s)
		if a == nil {
			if !c.sleep(wait) {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-c.stop:
			return
		}
		carriers.Go(func() {
			defer func() { <-slots }()
			s.carry(ctx, a)
		})
	}
}

// take removes the next due attempt, or says how long until there is one; negative if none is known.
func (c *courier) take(s *Stripe) (*attempt, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.waiting) == 0 || s.faults.Hold {
		return nil, -1
	}
	if wait := time.Until(c.waiting[0].due); wait > 0 {
		return nil, wait
	}
	c.inFlight++
	return heap.Pop(&c.waiting).(*attempt), 0
}

// sleep waits for a nudge or for d, if it is not negative; it is false once the courier must stop.
func (c *courier) sleep(d time.Duration) bool {
	var later <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		later = timer.C
	}
	select {
	case <-later:
	case <-c.wake:
	case <-c.stop:
		return false
	}
	return true
}

func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell wakes whoever waits for a change.
func (c *courier) tell() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *courier) add(a *attempt, due time.Time) {
	c.number++
	a.number, a.due = c.number, due
	if !a.isCopy {
		a.delivery.nextAttempt = due
	}
	heap.Push(&c.waiting, a)
	c.nudge()
}

// dispatch sends first attempts at once: with copies and in disorder if the faults say so.
func (c *courier) dispatch(s *Stripe, batch []*attempt) {
	batch = withCopies(batch, s.faults.Duplicate)
	if s.faults.Reorder && !s.faults.Hold { // what is held is shuffled all at once on its release
		c.chain(s, batch)
		return
	}
	now := time.Now()
	for _, a := range batch {
		c.add(a, now)
	}
}

func withCopies(batch []*attempt, n int) []*attempt {
	for _, a := range batch {
		for range n {
			batch = append(batch, &attempt{delivery: a.delivery, isCopy: true})
		}
	}
	return batch
}

// chain lets the attempts of each endpoint follow one another in an order that is not theirs.
func (c *courier) chain(s *Stripe, batch []*attempt) {
	now := time.Now()
	for _, group := range byEndpoint(batch) {
		shuffle(s.options.Rand, group)
		for i, a := range group[1:] {
			group[i].next = a
		}
		c.add(group[0], now)
	}
}

func byEndpoint(batch []*attempt) [][]*attempt {
	var groups [][]*attempt
	at := map[*endpoint]int{}
	for _, a := range batch {
		i, ok := at[a.delivery.endpoint]
		if !ok {
			i = len(groups)
			at[a.delivery.endpoint] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// shuffle permutes the group at random; if chance leaves it as it was, it is reversed.
func shuffle(random io.Reader, group []*attempt) {
	before := slices.Clone(group)
	for i := len(group) - 1; i > 0; i-- {
		var b [4]byte
		mustRead(random, b[:])
		j := int(binary.BigEndian.Uint32(b[:]) % uint32(i+1))
		group[i], group[j] = group[j], group[i]
	}
	if slices.Equal(before, group) {
		slices.Reverse(group)
	}
}

// shuffleWaiting chains, in disorder, the first attempts that were held back.
func (c *courier) shuffleWaiting(s *Stripe) {
	var held []*attempt
	var rest attempts
	now := time.Now()
	for _, a := range c.waiting {
		if a.next == nil && a.delivery.tries == 0 && !a.due.After(now) {
			held = append(held, a)
		} else {
			rest = append(rest, a)
		}
	}
	slices.SortFunc(held, func(a, b *attempt) int { return a.number - b.number })
	c.waiting = rest
	heap.Init(&c.waiting)
	c.chain(s, held)
}

// carry makes one attempt and records how it ended.
func (s *Stripe) carry(ctx context.Context, a *attempt) {
	s.mu.Lock()
	request, isWanted := s.parcel(ctx, a)
	s.mu.Unlock()
	var status int
	var err error
	if isWanted {
		status, err = s.post(request)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.courier
	c.inFlight--
	if isWanted {
		a.delivery.record(a, status, err)
		s.retry(a, status)
	} else if !a.isCopy {
		a.delivery.nextAttempt = time.Time{} // Stripe ends the retries of an event for an endpoint that is gone
	}
	if a.next != nil {
		c.add(a.next, time.Now())
	}
	c.tell()
}

// parcel is the request of an attempt, signed anew; false if the endpoint is deleted or disabled by now.
func (s *Stripe) parcel(ctx context.Context, a *attempt) (*http.Request, bool) {
	to, body := a.delivery.endpoint, a.delivery.event.body
	if to.isThin {
		body = a.delivery.event.thin(s.livemode)
	}
	if to.isDeleted || to.IsDisabled {
		return nil, false
	}
	at, secrets := s.options.Now(), to.secrets
	if s.faults.StaleSignature {
		at = at.Add(-time.Hour)
	}
	if s.faults.WrongSecret {
		secrets = []string{"whsec_a_secret_that_nobody_has"}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		a.delivery.lastError = err.Error()
		return nil, false
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks; simulated)")
	r.Header.Set("Stripe-Signature", Sign(body, at, secrets...))
	return r, true
}

// post returns the status of the answer, or 0 and why there was none.
func (s *Stripe) post(r *http.Request) (int, error) {
	response, err := s.options.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerBytesMax)) // only so that the connection can be reused
	return response.StatusCode, nil
}

func isSuccess(status int) bool { return status >= 200 && status <= 299 }

func (d *delivery) record(a *attempt, status int, err error) {
	d.attempts++
	if !a.isCopy {
		d.tries++
		d.nextAttempt = time.Time{}
	}
	d.lastStatus, d.lastError = status, ""
	if err != nil {
		d.lastError = err.Error()
	}
	d.isDelivered = d.isDelivered || isSuccess(status)
}

// retry plans the next automatic attempt after a failed one. A copy that succeeded does not spare it, as at Stripe.
func (s *Stripe) retry(a *attempt, status int) {
	if a.isCopy || isSuccess(status) {
		return
	}
	wait := s.faults.ConstantRetry
	if wait <= 0 {
		n := a.delivery.tries - 1
		if n >= len(s.options.RetrySchedule) {
			return // given up: the event stays undelivered
		}
		wait = s.options.RetrySchedule[n]
	}
	for _, again := range withCopies([]*attempt{{delivery: a.delivery}}, s.faults.Duplicate) {
		s.courier.add(again, time.Now().Add(wait))
	}
}

// Deliver sends an event once more to every endpoint it was meant for, as "resend" in the dashboard does: even if it was
// delivered or dropped, and without any influence on the automatic retries. An unknown id is ignored.
func (s *Stripe) Deliver(eventID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.events.get(eventID)
	if !ok {
		return
	}
	for _, d := range e.deliveries {
		s.courier.add(&attempt{delivery: d, isCopy: true}, time.Now())
	}
}

// RetryNow makes every planned retry due at once, as if the waiting were over.
func (s *Stripe) RetryNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, a := range s.courier.waiting {
		if a.due.After(now) {
			a.due = now
		}
	}
	heap.Init(&s.courier.waiting)
	s.courier.nudge()
}

// Idle says whether nothing is in flight and nothing is due now. Retries planned for later do not count, nor does what
// is held back.
func (s *Stripe) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isIdle()
}

func (s *Stripe) isIdle() bool {
	c := &s.courier
	if c.isClosed {
		return true
	}
	isDue := len(c.waiting) > 0 && !s.faults.Hold && !c.waiting[0].due.After(time.Now())
	return c.inFlight == 0 && !isDue
}

// isSettled is stricter: nothing is planned for later either.
func (s *Stripe) isSettled() bool {
	return s.courier.isClosed || s.courier.inFlight == 0 && len(s.courier.waiting) == 0
}

// WaitIdle waits until Idle. The error is that of the context.
func (s *Stripe) WaitIdle(ctx context.Context) error { return s.waitUntil(ctx, s.isIdle) }

// WaitDelivered waits until every delivery was answered with a 2xx or given up, retries included. The error is that of
// the context.
func (s *Stripe) WaitDelivered(ctx context.Context) error { return s.waitUntil(ctx, s.isSettled) }

// waitUntil looks after every attempt that ends whether the condition holds.
func (s *Stripe) waitUntil(ctx context.Context, condition func() bool) error {
	for {
		s.mu.Lock()
		if condition() {
			s.mu.Unlock()
			return nil
		}
		if s.courier.changed == nil {
			s.courier.changed = make(chan struct{})
		}
		changed := s.courier.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for deliveries: %w", ctx.Err())
		}
	}
}

// deliveryClient is base, or a client of our own, that gives up in time and takes a redirect for an answer.
func deliveryClient(base *http.Client, concurrency int) *http.Client {
	var c http.Client
	if base != nil {
		c = *base
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		own := t.Clone()
		own.MaxIdleConnsPerHost = concurrency // the default of 2 would open a connection for most deliveries
		c.Transport = own
	}
	setDefault(&c.Timeout, deliveryTimeout)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
