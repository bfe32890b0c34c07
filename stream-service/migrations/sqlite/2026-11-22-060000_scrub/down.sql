DROP INDEX objects_by_check;
ALTER TABLE objects DROP COLUMN checked_at;
