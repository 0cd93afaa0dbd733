package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/makegood/makegood"
)

// AmendOrder changes one order and keeps everything that follows in one transaction: all of it or nothing. It returns the
// order as it is afterwards. See makegood.Amendment.
func (s *Store) AmendOrder(ctx context.Context, a makegood.Amendment) (makegood.Order, error) {
	var after makegood.Order
	err := s.write(ctx, func(w *writing) error {
		o, err := w.amend(ctx, a)
		if err == nil {
			after = *o
		}
		return err
	})
	return after, err
}

func (w *writing) amend(ctx context.Context, a makegood.Amendment) (*makegood.Order, error) {
	o, err := w.orderToAmend(ctx, a)
	if err == errNoOrderYet {
		return &makegood.Order{}, w.bury(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	// Others may have changed the order while this transaction waited for its lock: what follows is later than they are.
	w.now = w.store.now()
	before := snapshot(o)
	if o.ID == "" {
		o.ID = w.newID(makegood.OrderPrefix)
	}
	learn(o, a.Facts)
	if err := w.adopt(ctx, before, o); err != nil {
		return nil, err
	}
	var lookup error
	keyTaken := func(key string) bool {
		taken, err := w.keyTaken(ctx, key)
		if err != nil {
			lookup = err
		}
		return taken
	}
	entries, err := a.Change(o, keyTaken)
	if lookup != nil {
		return nil, lookup
	}
	if err != nil {
		return nil, err
	}
	if err := w.saveOrder(ctx, before, o, a.EventID); err != nil {
		return nil, err
	}
	if a.EventID != "" {
		if err := w.markHandled(ctx, a.EventID, o.ID); err != nil {
			return nil, err
		}
	}
	return o, w.record(ctx, o.ID, a.Actor, entries)
}

// learn tells an order facts; those that do not name its session are about it because they were found by reference.
func learn(o *makegood.Order, facts []makegood.Fact) {
	for _, f := range facts {
		if f.Key.SessionID == "" {
			f.Key.SessionID = o.Key.SessionID
		}
		o.Learn(f)
	}
}

// orderToAmend loads the order under a lock. An order that is not there yet is only thought of: it is inserted when it is
// saved. On PostgreSQL two nodes may think of it at once; the unique key lets one insert and makes the other start again.
func (w *writing) orderToAmend(ctx context.Context, a makegood.Amendment) (*makegood.Order, error) {
	if a.OrderID != "" {
		o, err := loadOrder(ctx, w, `id = $1`+w.store.engine.forUpdate(), a.OrderID)
		return o, notFound(err, "There is no order %q.", a.OrderID)
	}
	k := a.Key
	if k.SessionID == "" {
		return w.orderByReference(ctx, a)
	}
	where := `session_id = $1 AND source = $2 AND account = $3 AND live = $4`
	o, err := loadOrder(ctx, w, where+w.store.engine.forUpdate(), k.SessionID, k.Source, k.Account, k.Live)
	if err != makegood.NotFound {
		return o, err
	}
	return &makegood.Order{Key: k, Payment: makegood.PaymentPending, Fulfillment: makegood.Unfulfilled}, nil
}

// snapshot copies what Change may alter, so that only differences are written.
func snapshot(o *makegood.Order) makegood.Order {
	before := *o
	before.Facts = slices.Clone(o.Facts)
	before.Licenses = slices.Clone(o.Licenses)
	before.Steps = slices.Clone(o.Steps)
	return before
}

func (w *writing) saveOrder(ctx context.Context, before makegood.Order, o *makegood.Order, eventID string) error {
	if before.ID == "" {
		if err := w.insertOrder(ctx, o); err != nil {
			return err
		}
	} else if err := w.updateOrder(ctx, before, o); err != nil {
		return err
	}
	if err := w.saveFacts(ctx, before, o, eventID); err != nil {
		return err
	}
	if err := w.saveReferences(ctx, before, o); err != nil {
		return err
	}
	if err := w.saveBookings(ctx, before, o); err != nil {
		return err
	}
	return w.saveSteps(ctx, before, o)
}

func (w *writing) insertOrder(ctx context.Context, o *makegood.Order) error {
	o.CreatedAt = w.now
	return w.Do(ctx, `
		INSERT INTO orders (id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
			payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at, synthetic)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		o.ID, o.Key.Source, o.Key.Account, o.Key.Live, o.Key.SessionID, o.PaymentID, clean(o.Customer.Email),
		clean(o.Customer.Name), o.Total.Minor, o.Total.Currency, string(o.Payment), string(o.Entitlement),
		string(o.Fulfillment), o.Reason, micros(o.CreatedAt), micros(o.PaidAt), micros(o.FulfilledAt), o.Synthetic)
}

func (w *writing) updateOrder(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	if before.PaymentID == o.PaymentID && before.Customer == o.Customer && before.Total == o.Total &&
		before.Payment == o.Payment && before.Entitlement == o.Entitlement && before.Fulfillment == o.Fulfillment && before.Reason == o.Reason &&
		before.PaidAt.Equal(o.PaidAt) && before.FulfilledAt.Equal(o.FulfilledAt) && before.Synthetic == o.Synthetic {
		return nil
	}
	return w.Do(ctx, `
		UPDATE orders
		SET payment_id = $2, email = $3, customer_name = $4, total_minor = $5, currency = $6, payment = $7, fulfillment = $8,
			reason = $9, paid_at = $10, fulfilled_at = $11, entitlement = $12, synthetic = $13
		WHERE id = $1`,
		o.ID, o.PaymentID, clean(o.Customer.Email), clean(o.Customer.Name), o.Total.Minor, o.Total.Currency,
		string(o.Payment), string(o.Fulfillment), o.Reason, micros(o.PaidAt), micros(o.FulfilledAt),
		string(o.Entitlement), o.Synthetic)
}

func (w *writing) saveFacts(ctx context.Context, before makegood.Order, o *makegood.Order, eventID string) error {
	for i, f := range o.Facts {
		if i < len(before.Facts) && sameFact(before.Facts[i], f) {
			continue
		}
		lines, err := json.Marshal(f.Lines)
		if err != nil {
			return fmt.Errorf("encode the lines of a fact: %w", err)
		}
		ways, err := json.Marshal(f.References)
		if err != nil {
			return fmt.Errorf("encode the references of a fact: %w", err)
		}
		if f.EventID == "" {
			f.EventID = eventID
		}
		err = w.Do(ctx, `
			INSERT INTO facts (order_id, kind, object_id, payment_id, amount_minor, currency, email, customer_name, lines,
				occurred_at, learned_at, event_id, contradicted, ways, until, synthetic)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
			ON CONFLICT (order_id, kind, object_id) DO UPDATE
			SET payment_id = excluded.payment_id, amount_minor = excluded.amount_minor, currency = excluded.currency,
				email = excluded.email, customer_name = excluded.customer_name, lines = excluded.lines,
				occurred_at = excluded.occurred_at, contradicted = excluded.contradicted, ways = excluded.ways,
				until = excluded.until, synthetic = excluded.synthetic`,
			o.ID, string(f.Kind), clean(f.ObjectID), clean(f.PaymentID), f.Amount.Minor, clean(f.Amount.Currency),
			clean(f.Customer.Email), clean(f.Customer.Name), clean(string(lines)), micros(f.OccurredAt), micros(w.now),
			f.EventID, f.Contradicted, clean(string(ways)), micros(f.Until), f.Synthetic)
		if err != nil {
			return err
		}
	}
	return nil
}

func sameFact(a, b makegood.Fact) bool {
	return a.PaymentID == b.PaymentID && a.Amount == b.Amount && a.Customer == b.Customer &&
		a.OccurredAt.Equal(b.OccurredAt) && a.Contradicted == b.Contradicted &&
		a.Synthetic == b.Synthetic && a.Until.Equal(b.Until) && slices.Equal(a.References, b.References) && slices.Equal(a.Lines, b.Lines)
}

// saveBookings writes what was booked. Lines are fixed once, moves are only added, licences change their status.
func (w *writing) saveBookings(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	for i := len(before.Lines); i < len(o.Lines); i++ {
		l := o.Lines[i]
		err := w.Do(ctx, `
			INSERT INTO order_lines (order_id, line, product, label, quantity, subtotal_minor, subtotal_currency,
				agreed_minor, agreed_currency)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			o.ID, i, l.Product, clean(l.Label), l.Quantity, l.Subtotal.Minor, l.Subtotal.Currency, l.Agreed.Minor, l.Agreed.Currency)
		if err != nil {
			return err
		}
	}
	for i := len(before.Moves); i < len(o.Moves); i++ {
		m := o.Moves[i]
		err := w.Do(ctx, `
			INSERT INTO stock_moves (order_id, line, cause, product, delta, moved_at)
			VALUES ($1, $2, $3, $4, $5, $6)`, o.ID, m.Line, m.Cause, m.Product, m.Delta, micros(w.now))
		if err != nil {
			return err
		}
	}
	return w.saveLicenses(ctx, before, o)
}

func (w *writing) saveLicenses(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	for i, l := range o.Licenses {
		var err error
		switch {
		case i >= len(before.Licenses):
			err = w.Do(ctx, `
				INSERT INTO licenses (id, order_id, line, unit, revision, license_key, key_id, product, status, issued_at,
					expires_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
				l.ID, o.ID, l.Line, l.Unit, l.Revision, l.Key, l.KeyID, l.Product, string(l.Status), micros(l.IssuedAt),
				micros(l.ExpiresAt))
		case before.Licenses[i] != l:
			err = w.Do(ctx, `UPDATE licenses SET status = $2, expires_at = $3 WHERE id = $1`, l.ID, string(l.Status), micros(l.ExpiresAt))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) saveSteps(ctx context.Context, before makegood.Order, o *makegood.Order) error {
	for i := range o.Steps {
		step := &o.Steps[i]
		if step.JobWanted {
			if err := w.enqueue(ctx, makegood.EffectJob(o.ID, step.Name)); err != nil {
				return err
			}
			step.JobWanted = false
		}
		if i < len(before.Steps) && before.Steps[i] == *step {
			continue
		}
		err := w.Do(ctx, `
			INSERT INTO steps (order_id, name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts,
				round, tells)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (order_id, name) DO UPDATE
			SET state = excluded.state, owed_at = excluded.owed_at, intent_at = excluded.intent_at,
				uncertain_since = excluded.uncertain_since, done_at = excluded.done_at, receipt = excluded.receipt, last_error = excluded.last_error,
				attempts = excluded.attempts, round = excluded.round`,
			o.ID, step.Name, string(step.State), micros(step.OwedAt), micros(step.IntentAt),
			micros(step.UncertainSince), micros(step.DoneAt), clean(step.Receipt), clean(step.LastError), step.Attempts,
			step.Round, step.Tells)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) keyTaken(ctx context.Context, key string) (bool, error) {
	var n int
	err := w.QueryRow(ctx, `SELECT COUNT(*) FROM licenses WHERE license_key = $1`, key).Scan(&n)
	return n > 0, err
}

const orderColumns = `id, source, account, live, session_id, payment_id, email, customer_name, total_minor, currency,
	payment, entitlement, fulfillment, reason, created_at, paid_at, fulfilled_at, synthetic`

func scanOrder(row Row) (*makegood.Order, error) {
	var o makegood.Order
	var created, paid, fulfilled int64
	err := row.Scan(&o.ID, &o.Key.Source, &o.Key.Account, &o.Key.Live, &o.Key.SessionID, &o.PaymentID, &o.Customer.Email,
		&o.Customer.Name, &o.Total.Minor, &o.Total.Currency, (*string)(&o.Payment), (*string)(&o.Entitlement),
		(*string)(&o.Fulfillment), &o.Reason, &created, &paid, &fulfilled, &o.Synthetic)
	if err != nil {
		return nil, err
	}
	o.CreatedAt, o.PaidAt, o.FulfilledAt = fromMicros(created), fromMicros(paid), fromMicros(fulfilled)
	return &o, nil
}

// loadOrder reads the one order that the condition names, with all that belongs to it.
func loadOrder(ctx context.Context, tx Tx, where string, args ...any) (*makegood.Order, error) {
	o, err := scanOrder(tx.QueryRow(ctx, `SELECT `+orderColumns+` FROM orders WHERE `+where, args...))
	if err != nil {
		return nil, err
	}
	if err := tx.QueryAll(ctx, factsOf(o), linesOf(o), licensesOf(o), movesOf(o), stepsOf(o)); err != nil {
		return nil, fmt.Errorf("load order %s: %w", o.ID, err)
	}
	return o, nil
}

// each runs scan for every row of a query.
func each(ctx context.Context, tx Tx, scan func(Rows) error, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return scanAll(rows, scan)
}

func scanAll(rows Rows, scan func(Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func factsOf(o *makegood.Order) question {
	return question{`
		SELECT kind, object_id, payment_id, amount_minor, currency, email, customer_name, lines, occurred_at, event_id, contradicted,
			ways, until, synthetic
		FROM facts
		WHERE order_id = $1
		ORDER BY learned_at, kind, object_id`, []any{o.ID}, func(rows Rows) error {
		f := makegood.Fact{Key: o.Key}
		var lines, ways string
		var occurred, until int64
		if err := rows.Scan((*string)(&f.Kind), &f.ObjectID, &f.PaymentID, &f.Amount.Minor, &f.Amount.Currency,
			&f.Customer.Email, &f.Customer.Name, &lines, &occurred, &f.EventID, &f.Contradicted, &ways,
			&until, &f.Synthetic); err != nil {
			return err
		}
		f.OccurredAt, f.Until = fromMicros(occurred), fromMicros(until)
		if err := errors.Join(json.Unmarshal([]byte(lines), &f.Lines), json.Unmarshal([]byte(ways), &f.References)); err != nil {
			return err
		}
		o.Facts = append(o.Facts, f)
		return nil
	}}
}

func linesOf(o *makegood.Order) question {
	return question{`
		SELECT product, label, quantity, subtotal_minor, subtotal_currency, agreed_minor, agreed_currency
		FROM order_lines
		WHERE order_id = $1
		ORDER BY line`, []any{o.ID}, func(rows Rows) error {
		var l makegood.Line
		if err := rows.Scan(&l.Product, &l.Label, &l.Quantity, &l.Subtotal.Minor, &l.Subtotal.Currency, &l.Agreed.Minor,
			&l.Agreed.Currency); err != nil {
			return err
		}
		o.Lines = append(o.Lines, l)
		return nil
	}}
}

func licensesOf(o *makegood.Order) question {
	return question{`
		SELECT ` + licenseColumns + `
		FROM licenses
		WHERE order_id = $1
		ORDER BY line, unit, revision`, []any{o.ID}, func(rows Rows) error {
		l, err := scanLicense(rows)
		o.Licenses = append(o.Licenses, l)
		return err
	}}
}

func movesOf(o *makegood.Order) question {
	return question{`
		SELECT line, cause, product, delta
		FROM stock_moves
		WHERE order_id = $1
		ORDER BY moved_at, line, cause`, []any{o.ID}, func(rows Rows) error {
		var m makegood.StockMove
		if err := rows.Scan(&m.Line, &m.Cause, &m.Product, &m.Delta); err != nil {
			return err
		}
		o.Moves = append(o.Moves, m)
		return nil
	}}
}

func stepsOf(o *makegood.Order) question {
	return question{`
		SELECT name, state, owed_at, intent_at, uncertain_since, done_at, receipt, last_error, attempts, round, tells
		FROM steps
		WHERE order_id = $1
		ORDER BY owed_at, name`, []any{o.ID}, func(rows Rows) error {
		var step makegood.Step
		var owed, intent, uncertain, done int64
		if err := rows.Scan(&step.Name, (*string)(&step.State), &owed, &intent, &uncertain, &done, &step.Receipt,
			&step.LastError, &step.Attempts, &step.Round, &step.Tells); err != nil {
			return err
		}
		step.OwedAt, step.IntentAt, step.DoneAt = fromMicros(owed), fromMicros(intent), fromMicros(done)
		step.UncertainSince = fromMicros(uncertain)
		o.Steps = append(o.Steps, step)
		return nil
	}}
}

// Order returns one order with all that belongs to it.
func (s *Store) Order(ctx context.Context, id string) (makegood.Order, error) {
	return s.oneOrder(ctx, `id = $1`, id)
}

// OrderBySession returns the order of a session at a source, in either mode.
func (s *Store) OrderBySession(ctx context.Context, source, sessionID string) (makegood.Order, error) {
	return s.oneOrder(ctx, `session_id = $1 AND source = $2`, sessionID, source)
}

func (s *Store) oneOrder(ctx context.Context, where string, args ...any) (makegood.Order, error) {
	var found makegood.Order
	err := s.read(ctx, func(tx Tx) error {
		o, err := loadOrder(ctx, tx, where, args...)
		if err != nil {
			return notFound(err, "There is no such order.")
		}
		found = *o
		return nil
	})
	return found, err
}

// OrderFilter narrows a listing. The zero value lists everything that customers bought, newest first.
type OrderFilter struct {
	Payment     makegood.PaymentState
	Fulfillment makegood.FulfillmentState
	// Synthetic lists the orders of synthetic checkouts as well. What is stuck is listed in any case when it is asked for:
	// money that came for one is waiting for a person.
	Synthetic bool
	Limit     int // at most makegood.ListMax, which 0 means too
}

// Orders lists orders without what belongs to them, newest first.
func (s *Store) Orders(ctx context.Context, f OrderFilter) ([]makegood.Order, error) {
	var where conditions
	where.equal("payment", string(f.Payment))
	// As in Events: the index of the few is partial.
	where.equalKnown("fulfillment", string(f.Fulfillment), string(makegood.InProgress), string(makegood.Stuck))
	if !f.Synthetic && f.Fulfillment != makegood.Stuck {
		where.terms = append(where.terms, "synthetic = FALSE") // written out, because its index is partial
	}
	return s.listOrders(ctx, where.newestFirst(f.Limit), where.args...)
}

// FindOrders finds orders by what a customer or a provider may quote: our order id, the session, the payment, charge,
// invoice, subscription, refund or dispute, the licence key (with or without its prefix and dashes) or the e-mail address,
// newest first.
func (s *Store) FindOrders(ctx context.Context, quoted string) ([]makegood.Order, error) {
	key := quoted
	if normal, err := makegood.NormalizeKey(quoted); err == nil {
		key = normal
	}
	// PostgreSQL guesses that an address has thousands of orders; the limit inside keeps it from reading all of them.
	return s.listOrders(ctx, `
		JOIN (
			SELECT id AS order_id FROM orders WHERE id = $1
			UNION SELECT id FROM orders WHERE session_id = $1
			UNION SELECT id FROM orders WHERE payment_id = $1 AND payment_id <> ''
			UNION SELECT order_id FROM order_references WHERE reference = $1
			UNION SELECT id FROM (SELECT id FROM orders WHERE LOWER(email) = LOWER($1) AND email <> '' LIMIT $3) AS mailed
			UNION SELECT order_id FROM licenses WHERE license_key = $2
			UNION SELECT order_id FROM licenses WHERE id = $1) AS named ON named.order_id = orders.id
		ORDER BY id DESC
		LIMIT $3`, quoted, key, makegood.ListMax)
}

func (s *Store) listOrders(ctx context.Context, rest string, args ...any) ([]makegood.Order, error) {
	var orders []makegood.Order
	err := s.read(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			o, err := scanOrder(rows)
			if err != nil {
				return err
			}
			orders = append(orders, *o)
			return nil
		}, `SELECT `+orderColumns+` FROM orders`+rest, args...)
	})
	return orders, err
}
