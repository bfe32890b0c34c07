-- Uploads that survive their connections (tus). The bytes are those of the object of the same id; times are Unix milliseconds.
CREATE TABLE tus_uploads (
    object_id    TEXT   NOT NULL PRIMARY KEY,
    video_id     TEXT   NOT NULL,
    -- NULL: the client says it later.
    length       BIGINT,
    -- Bytes that are synced and that a client may have been told of.
    acknowledged BIGINT NOT NULL,
    metadata     TEXT   NOT NULL,
    -- Upload-Concat: empty, 'partial', or 'final;' and addresses.
    concat       TEXT   NOT NULL,
    -- The request that may acknowledge bytes; a newer one puts itself here.
    holder       TEXT   NOT NULL,
    expires_at   BIGINT NOT NULL,
    -- When the video was stored; NULL before.
    finished_at  BIGINT
);
CREATE INDEX tus_uploads_by_video ON tus_uploads (video_id);
CREATE INDEX tus_uploads_by_expiry ON tus_uploads (expires_at);
