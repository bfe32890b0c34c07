-- Danmaku, and the log of each room (a video is a room). All of it goes with its video, also when a binary of before
-- these tables removes that.

-- The newest entry of the room's log: entries are 1, 2, 3 … without a gap.
ALTER TABLE videos ADD COLUMN room_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE videos ADD COLUMN danmaku_count BIGINT NOT NULL DEFAULT 0;
-- The comment's entry in the log; zero for comments from before the log.
ALTER TABLE comments ADD COLUMN room_seq BIGINT NOT NULL DEFAULT 0;

CREATE TABLE danmaku (
    id         TEXT   NOT NULL PRIMARY KEY,
    video_id   TEXT   NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    author_id  TEXT   NOT NULL REFERENCES users (id),
    -- Its entry in the log.
    room_seq   BIGINT NOT NULL,
    -- The moment of the video, in milliseconds.
    at_ms      BIGINT NOT NULL,
    -- scroll, top, bottom
    mode       TEXT   NOT NULL,
    -- #rrggbb
    color      TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX danmaku_by_moment ON danmaku (video_id, at_ms, id);
CREATE INDEX danmaku_by_video ON danmaku (video_id, id);
CREATE INDEX danmaku_by_author ON danmaku (author_id, video_id);

CREATE TABLE room_log (
    video_id     TEXT   NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    seq          BIGINT NOT NULL,
    -- danmaku, comment, revoked, info, closed
    kind         TEXT   NOT NULL,
    -- The danmaku or comment that was written or taken back.
    ref_id       TEXT,
    -- Who wrote it, while it stands.
    author_id    TEXT,
    operation_id TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    -- JSON. Null: it was taken back, or is overtaken by a newer entry.
    payload      TEXT,
    PRIMARY KEY (video_id, seq)
) WITHOUT ROWID;
-- The entry that a newer title or visibility overtakes: at most one of a room.
CREATE INDEX room_log_info ON room_log (video_id) WHERE kind = 'info' AND payload IS NOT NULL;
