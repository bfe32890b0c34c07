-- The ledger: every object that lies, lay half or is to be removed from the store. Times are Unix milliseconds.
CREATE TABLE objects (
    object_id     TEXT   NOT NULL PRIMARY KEY,
    video_id      TEXT   NOT NULL,
    kind          TEXT   NOT NULL CHECK (kind IN ('source')),
    -- writing -> live -> deleting; lost: was live, and its file is gone or has another size.
    state         TEXT   NOT NULL CHECK (state IN ('writing', 'live', 'lost', 'deleting')),
    size_bytes    BIGINT NOT NULL,
    sha256        TEXT   NOT NULL,
    mime          TEXT   NOT NULL,
    -- What was found inside, as told to api-service (common::messages::MediaReady, JSON).
    media         TEXT   NOT NULL,
    user_id       TEXT,
    session_id    TEXT   NOT NULL,
    -- The process that receives it, and when it last said so.
    owner         TEXT   NOT NULL,
    heartbeat_at  BIGINT NOT NULL,
    -- Bytes that the store loses with it, measured before the first file is removed; NULL: not measured, -1: there is no file.
    removed_bytes BIGINT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX objects_live_source ON objects (video_id) WHERE state = 'live' AND kind = 'source';
CREATE INDEX objects_by_video ON objects (video_id, object_id);
CREATE INDEX objects_unsettled ON objects (object_id) WHERE state IN ('writing', 'deleting');

-- Whether a video is hidden (in the trash), as api-service last said. A version is never overtaken by an older one.
CREATE TABLE media (
    video_id  TEXT    NOT NULL PRIMARY KEY,
    hidden    BOOLEAN NOT NULL,
    version   BIGINT  NOT NULL,
    -- Playback grants of a lower version open nothing any more.
    min_grant BIGINT  NOT NULL DEFAULT 0
);

-- Purged videos, and what that removed. No upload for one of them can begin or end any more.
CREATE TABLE tombstones (
    video_id    TEXT   NOT NULL PRIMARY KEY,
    objects     BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    begun_at    BIGINT NOT NULL,
    finished_at BIGINT
);

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
