DROP TABLE outbox;
DROP TABLE tombstones;
DROP TABLE media;
DROP TABLE objects;
