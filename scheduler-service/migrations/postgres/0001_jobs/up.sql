-- Durable jobs. One row for each (kind, key); times are Unix milliseconds by the database's clock.
CREATE TABLE jobs (
    id              TEXT   NOT NULL PRIMARY KEY,
    kind            TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    payload         TEXT   NOT NULL,
    -- What the last PUT asked for; run_at moves on with every retry.
    wanted_at       BIGINT NOT NULL,
    run_at          BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('scheduled', 'running', 'done', 'dead', 'cancelled')),
    attempts        BIGINT NOT NULL,
    -- Grows with every lease: only the holder of the newest may settle.
    fence           BIGINT NOT NULL,
    lease_owner     TEXT,
    lease_until     BIGINT,
    -- A PUT that came while the job ran: what to do after.
    again_payload   TEXT,
    again_at        BIGINT,
    again_operation TEXT,
    last_error      TEXT,
    result          TEXT,
    operation_id    TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    UNIQUE (kind, key)
);
-- What a poll reads: the due ones of a kind, the oldest first, however many are queued.
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'scheduled';
-- The operators' lists, newest first; also the leases in force (as many as workers).
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_kind ON jobs (kind, id);
-- What is old enough to be forgotten.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('done', 'cancelled');
-- A queue changes most of its rows several times: vacuum by the thousand, not by a fifth of the table, so that a poll never
-- walks over a backlog of dead index entries.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
