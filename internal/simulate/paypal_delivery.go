package simulate

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// paypalDelivery is one event on its way to one webhook. A repetition has the same transmission and the same signed time:
// the real one does not say whether it signs anew, and this is the harder case for whoever receives it.
type paypalDelivery struct {
	event        *paypalEvent
	webhook      *paypalWebhook
	transmission string
	signed       time.Time
	attempts     int // requests, of any kind
	tries        int // automatic ones, which the schedule counts
	lastStatus   int
	lastError    string
	isDelivered  bool
	nextAttempt  time.Time
}

// paypalAttempt is one request to be made. A copy is not followed by a retry. The attempt next becomes due when this one
// has ended: so a chosen order is kept.
type paypalAttempt struct {
	delivery *paypalDelivery
	due      time.Time
	number   int
	isCopy   bool
	next     *paypalAttempt
}

// paypalQueue is a heap, the attempt due first in front.
type paypalQueue []*paypalAttempt

func (q paypalQueue) Len() int { return len(q) }
func (q paypalQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].number < q[j].number
}
func (q paypalQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push and Pop are for package heap.
func (q *paypalQueue) Push(x any) { *q = append(*q, x.(*paypalAttempt)) }

// Pop removes the last element.
func (q *paypalQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = slices.Delete(*q, last, last+1)
	return x
}

// paypalCourier carries attempts to their webhooks: one goroutine waits for the next due one, and at most Concurrency
// goroutines carry. What is not a channel is guarded by the mutex of the PayPal.
type paypalCourier struct {
	waiting  paypalQueue
	number   int
	inFlight int
	isClosed bool
	changed  chan struct{} // closed at the next end of an attempt; nil if nobody waits
	wake     chan struct{} // size 1: a nudge while one is pending says nothing new
	stop     chan struct{}
	done     chan struct{}
	once     sync.Once
}

func (c *paypalCourier) start(p *PayPal) {
	c.wake, c.stop, c.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.done)
		c.run(p)
	}()
}

func (c *paypalCourier) close() {
	c.once.Do(func() { close(c.stop) })
	<-c.done
}

// run hands due attempts out until stop, then waits for those in flight.
func (c *paypalCourier) run(p *PayPal) {
	ctx, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, p.options.Concurrency) // its size is the limit of goroutines that carry
	var carriers sync.WaitGroup
	defer func() {
		cancel()
		carriers.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		c.isClosed = true
		c.tell()
	}()
	for {
		a, wait := c.take(p)
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
			p.carry(ctx, a)
		})
	}
}

// take removes the next due attempt, or says how long until there is one; negative if none is known.
func (c *paypalCourier) take(p *PayPal) (*paypalAttempt, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(c.waiting) == 0 || p.faults.Hold {
		return nil, -1
	}
	if wait := time.Until(c.waiting[0].due); wait > 0 {
		return nil, wait
	}
	c.inFlight++
	return heap.Pop(&c.waiting).(*paypalAttempt), 0
}

// sleep waits for a nudge or for d, if it is not negative; it is false once the courier must stop.
func (c *paypalCourier) sleep(d time.Duration) bool {
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

func (c *paypalCourier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell wakes whoever waits for a change.
func (c *paypalCourier) tell() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *paypalCourier) add(a *paypalAttempt, due time.Time) {
	c.number++
	a.number, a.due = c.number, due
	if !a.isCopy {
		a.delivery.nextAttempt = due
	}
	heap.Push(&c.waiting, a)
	c.nudge()
}

// dispatch sends first attempts at once: with copies and in disorder if the faults say so.
func (c *paypalCourier) dispatch(p *PayPal, batch []*paypalAttempt) {
	batch = withPayPalCopies(batch, p.faults.Duplicate)
	if p.faults.Reorder && !p.faults.Hold { // what is held is shuffled all at once on its release
		c.chain(p, batch)
		return
	}
	now := time.Now()
	for _, a := range batch {
		c.add(a, now)
	}
}

func withPayPalCopies(batch []*paypalAttempt, n int) []*paypalAttempt {
	for _, a := range batch {
		for range n {
			batch = append(batch, &paypalAttempt{delivery: a.delivery, isCopy: true})
		}
	}
	return batch
}

// chain lets attempts follow one another in an order that is not theirs: chance's, or the reverse should chance leave it.
func (c *paypalCourier) chain(p *PayPal, group []*paypalAttempt) {
	if len(group) == 0 {
		return
	}
	before := slices.Clone(group)
	for i := len(group) - 1; i > 0; i-- {
		var b [1]byte
		mustRead(p.options.Rand, b[:])
		j := int(b[0]) % (i + 1)
		group[i], group[j] = group[j], group[i]
	}
	if slices.Equal(before, group) {
		slices.Reverse(group)
	}
	for i, a := range group[1:] {
		group[i].next = a
	}
	c.add(group[0], time.Now())
}

// shuffleWaiting chains, in disorder, the first attempts that were held back.
func (c *paypalCourier) shuffleWaiting(p *PayPal) {
	var held []*paypalAttempt
	var rest paypalQueue
	now := time.Now()
	for _, a := range c.waiting {
		if a.next == nil && a.delivery.tries == 0 && !a.due.After(now) {
			held = append(held, a)
		} else {
			rest = append(rest, a)
		}
	}
	slices.SortFunc(held, func(a, b *paypalAttempt) int { return a.number - b.number })
	c.waiting = rest
	heap.Init(&c.waiting)
	c.chain(p, held)
}

// carry makes one attempt and records how it ended.
func (p *PayPal) carry(ctx context.Context, a *paypalAttempt) {
	p.mu.Lock()
	request, isWanted := p.parcel(ctx, a)
	p.mu.Unlock()
	var status int
	var err error
	if isWanted {
		status, err = p.post(request)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c, d := &p.courier, a.delivery
	c.inFlight--
	if !a.isCopy {
		d.nextAttempt = time.Time{}
	}
	if isWanted {
		d.attempts++
		if !a.isCopy {
			d.tries++
		}
		d.lastStatus, d.lastError = status, ""
		if err != nil {
			d.lastError = err.Error()
		}
		d.isDelivered = d.isDelivered || isSuccess(status)
		p.retry(a, status)
	}
	if a.next != nil {
		c.add(a.next, time.Now())
	}
	c.tell()
}

// parcel is the request of an attempt; false if the webhook is deleted by now, which ends the retries.
func (p *PayPal) parcel(ctx context.Context, a *paypalAttempt) (*http.Request, bool) {
	d := a.delivery
	if d.webhook.isDeleted {
		return nil, false
	}
	webhookID := d.webhook.ID
	if p.faults.WrongWebhook {
		webhookID = "WH0OFNOBODYATALL0"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.webhook.URL, bytes.NewReader(d.event.body))
	if err != nil {
		d.lastError = err.Error()
		return nil, false
	}
	r.Header = PayPalHeaders(p.certificate.key, p.CertificateURL(), d.transmission, webhookID, d.signed.Add(-p.faults.SignedAgo), d.event.body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "PayPal/AUHD-simulated")
	return r, true
}

// post returns the status of the answer, or 0 and why there was none.
func (p *PayPal) post(r *http.Request) (int, error) {
	response, err := p.options.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerBytesMax)) // only so that the connection can be reused
	return response.StatusCode, nil
}

// retry plans the next automatic attempt after a failed one, until the schedule is used up.
func (p *PayPal) retry(a *paypalAttempt, status int) {
	if a.isCopy || isSuccess(status) {
		return
	}
	wait := p.faults.ConstantRetry
	if wait <= 0 {
		n := a.delivery.tries - 1
		if n >= len(p.options.RetrySchedule) {
			return // given up: the event stays undelivered
		}
		wait = p.options.RetrySchedule[n]
	}
	for _, again := range withPayPalCopies([]*paypalAttempt{{delivery: a.delivery}}, p.faults.Duplicate) {
		p.courier.add(again, time.Now().Add(wait))
	}
}

// resend sends an event once more to every webhook it was meant for, as a new transmission.
func (p *PayPal) resend(e *paypalEvent, now time.Time) {
	for _, d := range e.deliveries {
		d.transmission, d.signed = newUUID(p.options.Rand), now
		p.courier.add(&paypalAttempt{delivery: d, isCopy: true}, time.Now())
	}
}

// Deliver is "resend" in the dashboard: even an event that was delivered or dropped is sent again, as a new transmission
// and without any influence on the automatic retries. An unknown id is ignored.
func (p *PayPal) Deliver(eventID string) {
	now := p.begin()
	defer p.mu.Unlock()
	if e, ok := p.events.get(eventID); ok {
		p.resend(e, now)
	}
}

// RetryNow makes every planned retry due at once, as if the waiting were over.
func (p *PayPal) RetryNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, a := range p.courier.waiting {
		if a.due.After(now) {
			a.due = now
		}
	}
	heap.Init(&p.courier.waiting)
	p.courier.nudge()
}

// Idle says whether nothing is in flight and nothing is due now. Retries planned for later do not count, nor does what is
// held back.
func (p *PayPal) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isIdle()
}

func (p *PayPal) isIdle() bool {
	c := &p.courier
	isDue := len(c.waiting) > 0 && !p.faults.Hold && !c.waiting[0].due.After(time.Now())
	return c.isClosed || c.inFlight == 0 && !isDue
}

// isSettled is stricter: nothing is planned for later either.
func (p *PayPal) isSettled() bool {
	return p.courier.isClosed || p.courier.inFlight == 0 && len(p.courier.waiting) == 0
}

// WaitIdle waits until Idle. The error is that of the context.
func (p *PayPal) WaitIdle(ctx context.Context) error { return p.waitUntil(ctx, p.isIdle) }

// WaitDelivered waits until every delivery was answered with a 2xx or given up, retries included. The error is that of
// the context.
func (p *PayPal) WaitDelivered(ctx context.Context) error { return p.waitUntil(ctx, p.isSettled) }

// waitUntil looks after every attempt that ends whether the condition holds.
func (p *PayPal) waitUntil(ctx context.Context, condition func() bool) error {
	for {
		p.mu.Lock()
		if condition() {
			p.mu.Unlock()
			return nil
		}
		if p.courier.changed == nil {
			p.courier.changed = make(chan struct{})
		}
		changed := p.courier.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for deliveries: %w", ctx.Err())
		}
	}
}
