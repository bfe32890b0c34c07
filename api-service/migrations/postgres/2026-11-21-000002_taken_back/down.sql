DROP TRIGGER danmaku_taken_back ON danmaku;
DROP TRIGGER comments_taken_back ON comments;
DROP FUNCTION post_taken_back();
