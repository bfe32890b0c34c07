ALTER TABLE tus_uploads DROP COLUMN store_state;
