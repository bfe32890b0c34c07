-- What the store has to know to go on with the bytes that are acknowledged (JSON of stream-service's store::kept); empty where the
-- file itself says it.
ALTER TABLE tus_uploads ADD COLUMN store_state TEXT NOT NULL DEFAULT '';
