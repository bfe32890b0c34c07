-- When the scrub last came to the end of this object, whatever it found; at first when it was stored. Unix milliseconds.
ALTER TABLE objects ADD COLUMN tried_at BIGINT NOT NULL DEFAULT 0;
-- Where its turn is that has not come to the end: bytes read, and the hash of them half done (hexadecimal).
ALTER TABLE objects ADD COLUMN scrub_place BIGINT NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN scrub_state TEXT NOT NULL DEFAULT '';
-- What the last turn found wrong with it; empty: nothing.
ALTER TABLE objects ADD COLUMN damage TEXT NOT NULL DEFAULT '';
UPDATE objects SET tried_at = updated_at;
CREATE INDEX objects_by_turn ON objects (tried_at, object_id) WHERE state = 'live';
CREATE INDEX objects_damaged ON objects (object_id) WHERE state = 'live' AND damage <> '';
