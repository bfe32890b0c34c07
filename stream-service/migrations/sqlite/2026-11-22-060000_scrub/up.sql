-- When the stored bytes were last found to be those that came, Unix milliseconds; 0: not since this column is there.
ALTER TABLE objects ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX objects_by_check ON objects (checked_at, object_id) WHERE state = 'live';
