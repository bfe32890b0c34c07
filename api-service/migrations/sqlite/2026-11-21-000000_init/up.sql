-- Accounts. A deleted account keeps its row, emptied, so that its name stays reserved.
CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    username      TEXT   NOT NULL UNIQUE,
    display_name  TEXT   NOT NULL,
    bio           TEXT   NOT NULL,
    language      TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    -- PHC string of argon2id; empty when deleted.
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    deleted_at    BIGINT
);
-- The sweep of what deleted accounts left.
CREATE INDEX users_by_deletion ON users (deleted_at) WHERE deleted_at IS NOT NULL;

-- Sessions; of the token only its SHA-256 is kept.
CREATE TABLE sessions (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id),
    token_hash   BLOB  NOT NULL UNIQUE,
    platform     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    -- Moves with last_seen_at, never past the longest life of a session.
    expires_at   BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_use ON sessions (last_seen_at);

CREATE TABLE videos (
    id            TEXT   NOT NULL PRIMARY KEY,
    owner_id      TEXT   NOT NULL REFERENCES users (id),
    title         TEXT   NOT NULL,
    -- The title in lower case: the order of sort=title, the same on both databases.
    title_key     TEXT   NOT NULL,
    description   TEXT   NOT NULL,
    -- Title and description in lower case: what ?q= looks into.
    search_text   TEXT   NOT NULL,
    visibility    TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    -- The state that a restore brings back; set while trashed.
    trashed_from  TEXT,
    failure       TEXT,
    size_bytes    BIGINT,
    sha256        TEXT,
    mime          TEXT,
    duration_ms   BIGINT,
    width         BIGINT,
    height        BIGINT,
    -- A JSON list.
    codecs        TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    -- Zero until the media is there.
    ready_at      BIGINT NOT NULL,
    -- When the newest upload grant ends.
    upload_until  BIGINT NOT NULL,
    purge_at      BIGINT,
    -- Grows with every message to stream-service, so that late ones can be told from new ones.
    version       BIGINT NOT NULL,
    -- Grows when the video becomes private: playback links of before open nothing any more.
    grant_version BIGINT NOT NULL,
    comment_count BIGINT NOT NULL
);
-- GET /videos, sort=new|old and sort=title, and the same of one author.
CREATE INDEX videos_by_ready ON videos (visibility, state, ready_at, id);
CREATE INDEX videos_by_title ON videos (visibility, state, title_key, id);
CREATE INDEX videos_by_author_ready ON videos (owner_id, visibility, state, ready_at, id);
-- GET /users/me/videos.
CREATE INDEX videos_by_owner ON videos (owner_id, created_at, id);
-- The sweep of uploads that never arrived.
CREATE INDEX videos_by_upload ON videos (state, upload_until);

-- What became of a video that was deleted; outlives the video.
CREATE TABLE deletions (
    video_id    TEXT   NOT NULL PRIMARY KEY,
    owner_id    TEXT   NOT NULL,
    -- scheduled, running, done
    state       TEXT   NOT NULL,
    purge_at    BIGINT NOT NULL,
    objects     BIGINT,
    bytes       BIGINT,
    finished_at BIGINT
);

CREATE TABLE comments (
    id         TEXT   NOT NULL PRIMARY KEY,
    video_id   TEXT   NOT NULL REFERENCES videos (id),
    author_id  TEXT   NOT NULL REFERENCES users (id),
    -- The answered comment; it may be gone.
    parent_id  TEXT,
    text       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX comments_by_video ON comments (video_id, id);
CREATE INDEX comments_by_author ON comments (author_id, video_id);

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
