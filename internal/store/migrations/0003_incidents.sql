-- The life of an incident: its state, its time line, and the outbox of what people are told.

CREATE TABLE incidents (
    id           TEXT   PRIMARY KEY,
    incident_key TEXT   NOT NULL, -- check, or check/subject
    check_code   TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    priority     TEXT   NOT NULL,
    title        TEXT   NOT NULL,
    detail       TEXT   NOT NULL,
    means        TEXT   NOT NULL,
    depends_on   TEXT   NOT NULL, -- JSON: keys of incidents that explain this one
    state        TEXT   NOT NULL, -- open, acknowledged or resolved
    muted        TEXT   NOT NULL, -- why nobody is told; '' when people are
    reopened     BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    opened_at    BIGINT NOT NULL,
    acked_at     BIGINT NOT NULL,
    acked_by     TEXT   NOT NULL,
    acked_until  BIGINT NOT NULL,
    resolved_at  BIGINT NOT NULL,
    resolved_by  TEXT   NOT NULL,
    climbed_at   BIGINT NOT NULL,
    rung         BIGINT NOT NULL,
    round        BIGINT NOT NULL,
    next_at      BIGINT NOT NULL, -- when its timer is due; 0 when it has none
    moments      BIGINT NOT NULL  -- how many lines its time line has
);

-- At most one incident of a key is open at a time.
CREATE UNIQUE INDEX incidents_open ON incidents (incident_key) WHERE state <> 'resolved';
CREATE INDEX incidents_by_key ON incidents (incident_key, id);
CREATE INDEX incidents_due ON incidents (next_at) WHERE next_at > 0;

CREATE TABLE incident_moments (
    incident_id TEXT   NOT NULL REFERENCES incidents (id),
    n           BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    said        TEXT   NOT NULL,
    PRIMARY KEY (incident_id, n)
);

CREATE TABLE notices (
    id          TEXT    PRIMARY KEY,
    incident_id TEXT    NOT NULL REFERENCES incidents (id),
    channel     TEXT    NOT NULL,
    kind        TEXT    NOT NULL, -- opened, reminder or resolved
    priority    TEXT    NOT NULL,
    bundle      TEXT    NOT NULL, -- notices of one bundle may be told together
    span        BIGINT  NOT NULL,
    round       BIGINT  NOT NULL,
    rung        BIGINT  NOT NULL,
    state       TEXT    NOT NULL, -- queued, sending, accepted, delivered, failed or dropped
    not_before  BIGINT  NOT NULL,
    lease_until BIGINT  NOT NULL, -- how long a teller has it
    message_id  TEXT    NOT NULL, -- the message it was last told in
    attempts    BIGINT  NOT NULL,
    doubt       BOOLEAN NOT NULL, -- whether somebody may have been told by a failed attempt
    doubts      BIGINT  NOT NULL, -- by how many attempts, and when by the last
    doubted_at  BIGINT  NOT NULL,
    remote_id   TEXT    NOT NULL,
    error       TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    sent_at     BIGINT  NOT NULL,
    arrived_at  BIGINT  NOT NULL
);

CREATE INDEX notices_waiting ON notices (channel, not_before) WHERE state = 'queued' OR state = 'sending';
CREATE INDEX notices_of_incident ON notices (incident_id);
CREATE INDEX notices_sent ON notices (channel, sent_at) WHERE sent_at > 0;
CREATE INDEX notices_doubted ON notices (channel, doubted_at) WHERE doubted_at > 0;
CREATE INDEX notices_of_message ON notices (message_id) WHERE message_id <> '';
CREATE INDEX notices_remote ON notices (remote_id) WHERE remote_id <> '';

-- Times in which nobody is told of incidents whose key fits the pattern.
CREATE TABLE silences (
    id         TEXT   PRIMARY KEY,
    pattern    TEXT   NOT NULL,
    from_at    BIGINT NOT NULL,
    until_at   BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    made_by    TEXT   NOT NULL
);
CREATE INDEX silences_until ON silences (until_at);

-- What reports by itself.
CREATE TABLE heartbeats (
    name          TEXT   PRIMARY KEY,
    first_seen_at BIGINT NOT NULL,
    started_at    BIGINT NOT NULL,
    succeeded_at  BIGINT NOT NULL,
    failed_at     BIGINT NOT NULL,
    took          BIGINT NOT NULL, -- of the last run, in microseconds; 0 when it did not say when it began
    note          TEXT   NOT NULL
);

-- The newest beat of the other side, against replay.
CREATE TABLE peers (
    name     TEXT   PRIMARY KEY,
    sequence BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL,
    beat     TEXT   NOT NULL -- JSON
);

-- How the last test of each channel ended.
CREATE TABLE channel_tests (
    channel   TEXT   PRIMARY KEY,
    tested_at BIGINT NOT NULL,
    error     TEXT   NOT NULL -- '' when it would work
);

-- Links of one use that were used.
CREATE TABLE used_links (
    id         TEXT   PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- What this database is, and what it keeps for itself.
CREATE TABLE house (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
