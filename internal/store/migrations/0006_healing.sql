-- Attempts at mending the places where programs run. A row is written before anything is done: it is the lock, the limit and
-- the cooldown. Refusals are rows too.
CREATE TABLE heal_attempts (
    id           TEXT   PRIMARY KEY,
    target       TEXT   NOT NULL,
    remedy       TEXT   NOT NULL,
    fault        TEXT   NOT NULL,
    incident_id  TEXT   NOT NULL, -- '' when a person asked without one
    incident_key TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    state        TEXT   NOT NULL, -- running, healed, failed, reverted, stopped or refused
    reason       TEXT   NOT NULL,
    detail       TEXT   NOT NULL,
    names        TEXT   NOT NULL, -- JSON: of the variables that it writes, never their values
    run          TEXT   NOT NULL, -- what the place calls the run that it began
    steps        TEXT   NOT NULL, -- JSON
    survey       TEXT   NOT NULL, -- JSON: how the place stood before
    holder       TEXT   NOT NULL,
    fence        BIGINT NOT NULL, -- rises each time the attempt is taken over
    lease_until  BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL, -- 0 while it runs
    counts_at    BIGINT NOT NULL  -- started_at for the limits, moved with the clock; 0 for a refusal, which counts for none
);

-- Only one attempt runs at a time, whoever asks.
CREATE UNIQUE INDEX heal_attempts_running ON heal_attempts (state) WHERE state = 'running';
CREATE INDEX heal_attempts_counted ON heal_attempts (counts_at) WHERE counts_at > 0;
CREATE INDEX heal_attempts_of_incident ON heal_attempts (incident_id) WHERE incident_id <> '';
CREATE INDEX heal_attempts_of_target ON heal_attempts (target, id);

-- Drills: something was broken on purpose, and this is how it went.
CREATE TABLE drills (
    id         TEXT   PRIMARY KEY,
    name       TEXT   NOT NULL,
    began_at   BIGINT NOT NULL,
    took       BIGINT NOT NULL, -- microseconds
    passed     BOOLEAN NOT NULL,
    result     TEXT   NOT NULL  -- JSON
);
CREATE INDEX drills_by_name ON drills (name, began_at);
