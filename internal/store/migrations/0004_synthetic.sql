-- Orders of synthetic checkouts: a watcher made the session, nobody bought. They stand in no listing of customers.

ALTER TABLE orders ADD COLUMN synthetic BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE facts ADD COLUMN synthetic BOOLEAN NOT NULL DEFAULT FALSE;

-- A watcher makes hundreds a day; a listing of a small shop would read them all to find its customers between them.
CREATE INDEX orders_of_customers ON orders (id) WHERE synthetic = FALSE;

-- Money for an order that nobody bought: a person must give it back.
CREATE INDEX orders_synthetic_paid ON orders (paid_at) WHERE synthetic AND fulfillment = 'stuck';
