-- Whether the client has said that what is acknowledged is all: the drafts after tus say it apart from the length.
ALTER TABLE tus_uploads ADD COLUMN complete BOOLEAN NOT NULL DEFAULT FALSE;
