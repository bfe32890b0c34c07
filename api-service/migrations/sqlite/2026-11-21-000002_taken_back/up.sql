-- A post that is removed is gone from the log too, also when a binary of before the log removes it.
CREATE TRIGGER comments_taken_back AFTER DELETE ON comments WHEN OLD.room_seq > 0
BEGIN
    UPDATE room_log SET payload = NULL, author_id = NULL
    WHERE video_id = OLD.video_id AND seq = OLD.room_seq AND ref_id = OLD.id;
END;
CREATE TRIGGER danmaku_taken_back AFTER DELETE ON danmaku WHEN OLD.room_seq > 0
BEGIN
    UPDATE room_log SET payload = NULL, author_id = NULL
    WHERE video_id = OLD.video_id AND seq = OLD.room_seq AND ref_id = OLD.id;
END;
-- What was removed so before the triggers were there.
UPDATE room_log SET payload = NULL, author_id = NULL
WHERE payload IS NOT NULL AND (
    (kind = 'comment' AND NOT EXISTS (SELECT 1 FROM comments WHERE comments.id = room_log.ref_id))
    OR (kind = 'danmaku' AND NOT EXISTS (SELECT 1 FROM danmaku WHERE danmaku.id = room_log.ref_id))
);
