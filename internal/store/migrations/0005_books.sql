-- What the server asks its own books every minute, so that no look reads more than the few rows that it is about.

-- Paid for and not given. Few rows at any time, however many orders there are.
CREATE INDEX orders_owed ON orders (paid_at) WHERE entitlement = 'active' AND fulfillment <> 'fulfilled';

-- The rhythm in which a source delivers. What we fetched ourselves is not delivered.
CREATE INDEX events_delivered ON events (source, received_at) WHERE verified_by <> 'api';

CREATE INDEX dead_letters_recent ON dead_letters (last_failed_at);

-- Attempts that failed and whose step is not done: done takes the error away.
CREATE INDEX steps_troubled ON steps (name) WHERE last_error <> '';

-- Runs of jobs that took too long. They are kept for a month.
CREATE TABLE slow_jobs (
    id       TEXT   PRIMARY KEY,
    ended_at BIGINT NOT NULL,
    took     BIGINT NOT NULL, -- microseconds
    kind     TEXT   NOT NULL,
    queue    TEXT   NOT NULL,
    source   TEXT   NOT NULL,
    step     TEXT   NOT NULL,
    event_id TEXT   NOT NULL,
    order_id TEXT   NOT NULL,
    attempt  BIGINT NOT NULL
);
CREATE INDEX slow_jobs_by_time ON slow_jobs (ended_at);
