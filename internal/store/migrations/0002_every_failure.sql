-- Facts that find their order by reference, goods that follow the policy of their product, tellings, and dead letters with
-- their whole history.

ALTER TABLE orders ADD COLUMN entitlement TEXT NOT NULL DEFAULT '';
UPDATE orders
SET entitlement = CASE payment
    WHEN 'paid' THEN 'active'
    WHEN 'partially_refunded' THEN 'active'
    WHEN 'refunded' THEN 'revoked'
    WHEN 'disputed' THEN CASE fulfillment WHEN 'revoked' THEN 'revoked' ELSE 'suspended' END
    ELSE 'none' END;

ALTER TABLE facts ADD COLUMN ways TEXT NOT NULL DEFAULT 'null'; -- JSON: the references beside the payment
ALTER TABLE facts ADD COLUMN until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE licenses ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN round BIGINT NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN tells TEXT NOT NULL DEFAULT '';

-- By which ids of the provider an order is known, beside its session and its payment.
CREATE TABLE order_references (
    reference TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    live      BOOLEAN NOT NULL,
    order_id  TEXT    NOT NULL REFERENCES orders (id),
    PRIMARY KEY (reference, source, account, live)
);

INSERT INTO order_references (reference, source, account, live, order_id)
SELECT facts.payment_id, orders.source, orders.account, orders.live, MIN(orders.id)
FROM facts
JOIN orders ON orders.id = facts.order_id
WHERE facts.payment_id <> '' AND facts.payment_id <> orders.payment_id
GROUP BY facts.payment_id, orders.source, orders.account, orders.live;

-- Facts that came before their sale: they wait under each of their references for the order that will have it.
CREATE TABLE tombstones (
    reference TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    live      BOOLEAN NOT NULL,
    kind      TEXT    NOT NULL,
    object_id TEXT    NOT NULL,
    fact      TEXT    NOT NULL, -- JSON
    event_id  TEXT    NOT NULL,
    kept_at   BIGINT  NOT NULL,
    PRIMARY KEY (reference, source, account, live, kind, object_id)
);

-- A provider's id of one transmission, which its signature covers. One id with two bodies is an attack.
ALTER TABLE events ADD COLUMN transmission TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX events_transmission ON events (transmission, source) WHERE transmission <> '';

ALTER TABLE dead_letters ADD COLUMN state TEXT NOT NULL DEFAULT 'open';      -- open, retried or discarded
ALTER TABLE dead_letters ADD COLUMN reason TEXT NOT NULL DEFAULT 'exhausted'; -- see makegood.DeadReason
ALTER TABLE dead_letters ADD COLUMN history TEXT NOT NULL DEFAULT '[]';      -- JSON: the failed attempts, oldest first
ALTER TABLE dead_letters ADD COLUMN retries BIGINT NOT NULL DEFAULT 0;       -- how often a person had it done again
ALTER TABLE dead_letters ADD COLUMN retried_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE state = 'open';
