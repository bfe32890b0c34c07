-- Messages to other services; the shape is that of common::outbox.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind          TEXT   NOT NULL,
    key           TEXT   NOT NULL,
    payload       TEXT   NOT NULL,
    operation_id  TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    next_at       BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    claim         TEXT   NOT NULL DEFAULT '',
    attempts      BIGINT NOT NULL,
    last_error    TEXT
);
CREATE INDEX outbox_by_key ON outbox (key, id);
