ALTER TABLE tus_uploads DROP COLUMN complete;
