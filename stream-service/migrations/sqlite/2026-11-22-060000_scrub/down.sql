DROP INDEX objects_damaged;
DROP INDEX objects_by_turn;
ALTER TABLE objects DROP COLUMN damage;
ALTER TABLE objects DROP COLUMN scrub_state;
ALTER TABLE objects DROP COLUMN scrub_place;
ALTER TABLE objects DROP COLUMN tried_at;
