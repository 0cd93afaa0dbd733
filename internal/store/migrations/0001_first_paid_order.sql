-- The words of the house as rows. One text for both engines: times are microseconds since 1970 in UTC, ids are lower-case
-- letters and digits, JSON is opaque text, an absent text is '' and an absent time is 0.

-- What the providers told us, byte for byte. The unique key never expires: it is what makes a repeated delivery harmless.
CREATE TABLE events (
    id          TEXT    PRIMARY KEY,
    source      TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    live        BOOLEAN NOT NULL,
    provider_id TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    api_version TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    received_at BIGINT  NOT NULL,
    verified_by TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    order_id    TEXT    NOT NULL,
    handled_at  BIGINT  NOT NULL,
    payload     BYTEA
);
CREATE UNIQUE INDEX events_identity ON events (provider_id, source, account, live);
CREATE INDEX events_by_order ON events (order_id) WHERE order_id <> '';
-- Not as IN (…): SQLite sees that state = 'dead' implies the condition only when it is written with OR.
CREATE INDEX events_open ON events (state, id) WHERE state = 'kept' OR state = 'unhandled' OR state = 'dead';

CREATE TABLE orders (
    id            TEXT    PRIMARY KEY,
    source        TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    live          BOOLEAN NOT NULL,
    session_id    TEXT    NOT NULL,
    payment_id    TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    customer_name TEXT    NOT NULL,
    total_minor   BIGINT  NOT NULL,
    currency      TEXT    NOT NULL,
    payment       TEXT    NOT NULL,
    fulfillment   TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    paid_at       BIGINT  NOT NULL,
    fulfilled_at  BIGINT  NOT NULL
);
CREATE UNIQUE INDEX orders_identity ON orders (session_id, source, account, live);
CREATE INDEX orders_by_payment ON orders (payment_id) WHERE payment_id <> '';
CREATE INDEX orders_by_email ON orders (LOWER(email)) WHERE email <> '';
CREATE INDEX orders_unfinished ON orders (fulfillment, id) WHERE fulfillment = 'in_progress' OR fulfillment = 'stuck';

-- The set of facts of an order. Lines are JSON: they are what was told, not what was booked.
CREATE TABLE facts (
    order_id       TEXT    NOT NULL REFERENCES orders (id),
    kind           TEXT    NOT NULL,
    object_id      TEXT    NOT NULL,
    payment_id     TEXT    NOT NULL,
    amount_minor   BIGINT  NOT NULL,
    currency       TEXT    NOT NULL,
    email          TEXT    NOT NULL,
    customer_name  TEXT    NOT NULL,
    lines          TEXT    NOT NULL,
    occurred_at    BIGINT  NOT NULL,
    learned_at     BIGINT  NOT NULL,
    event_id       TEXT    NOT NULL,
    contradicted   BOOLEAN NOT NULL,
    PRIMARY KEY (order_id, kind, object_id)
);

-- What was booked, fixed with the first licence.
CREATE TABLE order_lines (
    order_id          TEXT   NOT NULL REFERENCES orders (id),
    line              BIGINT NOT NULL,
    product           TEXT   NOT NULL,
    label             TEXT   NOT NULL,
    quantity          BIGINT NOT NULL,
    subtotal_minor    BIGINT NOT NULL,
    subtotal_currency TEXT   NOT NULL,
    agreed_minor      BIGINT NOT NULL,
    agreed_currency   TEXT   NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE licenses (
    id          TEXT   PRIMARY KEY,
    order_id    TEXT   NOT NULL REFERENCES orders (id),
    line        BIGINT NOT NULL,
    unit        BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    license_key TEXT   NOT NULL,
    key_id      TEXT   NOT NULL,
    product     TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    issued_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX licenses_slot ON licenses (order_id, line, unit, revision);
CREATE UNIQUE INDEX licenses_key ON licenses (license_key);

CREATE TABLE stock_moves (
    order_id TEXT   NOT NULL REFERENCES orders (id),
    line     BIGINT NOT NULL,
    cause    TEXT   NOT NULL,
    product  TEXT   NOT NULL,
    delta    BIGINT NOT NULL,
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, line, cause)
);

-- Effects owed to the outside world: intent, effect, receipt.
CREATE TABLE steps (
    order_id   TEXT   NOT NULL REFERENCES orders (id),
    name       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    owed_at    BIGINT NOT NULL,
    intent_at  BIGINT NOT NULL,
    uncertain_since BIGINT NOT NULL, -- of the earliest attempt whose end nobody knows; 0 for none
    done_at    BIGINT NOT NULL,
    receipt    TEXT   NOT NULL,
    last_error TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    PRIMARY KEY (order_id, name)
);

-- What was sent, or is about to be, byte for byte: rendered once, the same on every attempt.
CREATE TABLE outgoing (
    order_id   TEXT   NOT NULL,
    step       TEXT   NOT NULL,
    message    BYTEA  NOT NULL,
    made_at    BIGINT NOT NULL,
    PRIMARY KEY (order_id, step)
);

-- Jobs that were given up. Nothing deletes them but a person.
CREATE TABLE dead_letters (
    id              TEXT   PRIMARY KEY,
    kind            TEXT   NOT NULL,
    event_id        TEXT   NOT NULL,
    order_id        TEXT   NOT NULL,
    step            TEXT   NOT NULL,
    source          TEXT   NOT NULL,
    type            TEXT   NOT NULL,
    payload         BYTEA,
    error           TEXT   NOT NULL,
    attempts        BIGINT NOT NULL,
    first_failed_at BIGINT NOT NULL,
    last_failed_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX dead_letters_job ON dead_letters (kind, event_id, order_id, step);

CREATE TABLE audit_entries (
    id           TEXT   PRIMARY KEY,
    at           BIGINT NOT NULL,
    ordinal      BIGINT NOT NULL, -- position within its commit, whose entries share their time
    actor        TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    target       TEXT   NOT NULL,
    order_id     TEXT   NOT NULL,
    before_state TEXT   NOT NULL,
    after_state  TEXT   NOT NULL
);
CREATE INDEX audit_by_order ON audit_entries (order_id) WHERE order_id <> '';
