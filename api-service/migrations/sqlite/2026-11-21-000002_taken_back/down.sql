DROP TRIGGER danmaku_taken_back;
DROP TRIGGER comments_taken_back;
