DROP TABLE outbox;
DROP TABLE comments;
DROP TABLE deletions;
DROP TABLE videos;
DROP TABLE sessions;
DROP TABLE users;
