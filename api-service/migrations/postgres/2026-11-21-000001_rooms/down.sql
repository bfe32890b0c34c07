DROP TABLE room_log;
DROP TABLE danmaku;
ALTER TABLE comments DROP COLUMN room_seq;
ALTER TABLE videos DROP COLUMN danmaku_count;
ALTER TABLE videos DROP COLUMN room_seq;
