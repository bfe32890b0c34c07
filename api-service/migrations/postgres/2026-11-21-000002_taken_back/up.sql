-- A post that is removed is gone from the log too, also when a binary of before the log removes it.
CREATE FUNCTION post_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE room_log SET payload = NULL, author_id = NULL
    WHERE video_id = OLD.video_id AND seq = OLD.room_seq AND ref_id = OLD.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER comments_taken_back AFTER DELETE ON comments
    FOR EACH ROW WHEN (OLD.room_seq > 0) EXECUTE FUNCTION post_taken_back();
CREATE TRIGGER danmaku_taken_back AFTER DELETE ON danmaku
    FOR EACH ROW WHEN (OLD.room_seq > 0) EXECUTE FUNCTION post_taken_back();
-- What was removed so before the triggers were there.
UPDATE room_log SET payload = NULL, author_id = NULL
WHERE payload IS NOT NULL AND (
    (kind = 'comment' AND NOT EXISTS (SELECT 1 FROM comments WHERE comments.id = room_log.ref_id))
    OR (kind = 'danmaku' AND NOT EXISTS (SELECT 1 FROM danmaku WHERE danmaku.id = room_log.ref_id))
);
