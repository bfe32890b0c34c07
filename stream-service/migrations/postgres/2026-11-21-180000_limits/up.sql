-- Bytes of media that a client (limit::client::ClientKey as text) took on a day of UTC (days since 1970). A process writes rows of
-- its own (part), each time the whole count; the sum is what was used. Rows go two days later.
CREATE TABLE egress (
    day        BIGINT NOT NULL,
    client     TEXT   NOT NULL,
    part       TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (day, client, part)
);
CREATE INDEX egress_by_change ON egress (day, changed_at);

-- Limits that operators set while the service runs; they go before the configuration.
CREATE TABLE limit_settings (
    name       TEXT   NOT NULL PRIMARY KEY,
    value      BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    -- The operator: id and name at that time.
    user_id    TEXT   NOT NULL,
    username   TEXT   NOT NULL
);

-- The processes that share this database, and what each of them holds.
CREATE TABLE instances (
    instance   TEXT   NOT NULL PRIMARY KEY,
    host       TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    streams    BIGINT NOT NULL,
    uploads    BIGINT NOT NULL,
    refused    BIGINT NOT NULL
);
