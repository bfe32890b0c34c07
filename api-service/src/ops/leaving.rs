//! What a closed account wrote in the rooms of others. It is shown to nobody from the moment on that the account is closed
//! (every list asks for that); here it is removed, in transactions of a bounded size, each post with its entry in the
//! log and word to whoever is in the room.

use common::db::{AnyConn, now_ms};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::rooms::{self, Post};
use super::videos::lock;
use crate::news::News;
use crate::schema::{comments, danmaku};

/// Posts that one transaction takes back, some 20 ms: nobody else can write while it runs.
const BATCH: i64 = 200;

/// Accounts that one question names.
const ACCOUNTS: i64 = 100;

/// A post: where, which, and its entry in the log.
type Place = (VideoId, Id, i64);

/// Takes back up to a batch of what `author` wrote; gives how many. 0 when nothing is left.
pub fn take_back(conn: &mut AnyConn, news: &mut News, author: &Id) -> Result<u64, ApiError> {
    // Rooms in one order, so that two of these at once never wait for each other in a circle.
    let mut places: Vec<Place> = comments::table
        .filter(comments::author_id.eq(author.as_str()))
        .order((comments::video_id, comments::id))
        .limit(BATCH)
        .select((comments::video_id, comments::id, comments::room_seq))
        .load(conn)?;
    let mut post = Post::Comment;
    if places.is_empty() {
        post = Post::Danmaku;
        places = danmaku::table
            .filter(danmaku::author_id.eq(author.as_str()))
            .order((danmaku::video_id, danmaku::id))
            .limit(BATCH)
            .select((danmaku::video_id, danmaku::id, danmaku::room_seq))
            .load(conn)?;
    }
    let now = now_ms(conn)?;
    let mut locked: Option<&VideoId> = None;
    for (video, id, seq) in &places {
        if locked != Some(video) {
            lock(conn, video)?;
            locked = Some(video);
        }
        // Gone meanwhile: the owner of the room was faster, or the room itself is gone.
        if delete(conn, post, id)? > 0 {
            rooms::revoked(conn, news, video, post, (id, *seq), now)?;
        }
    }
    Ok(places.len() as u64)
}

fn delete(conn: &mut AnyConn, post: Post, id: &Id) -> QueryResult<usize> {
    match post {
        Post::Comment => diesel::delete(comments::table.filter(comments::id.eq(id.as_str()))).execute(conn),
        Post::Danmaku => diesel::delete(danmaku::table.filter(danmaku::id.eq(id.as_str()))).execute(conn),
    }
}

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = Text)]
    id: Id,
}

/// Some of the closed accounts that have something left to take back.
pub fn unfinished(conn: &mut AnyConn) -> QueryResult<Vec<Id>> {
    let found = sql_query(
        "SELECT id FROM users WHERE deleted_at IS NOT NULL \
         AND (EXISTS (SELECT 1 FROM comments WHERE author_id = users.id) \
         OR EXISTS (SELECT 1 FROM danmaku WHERE author_id = users.id)) LIMIT $1",
    )
    .bind::<BigInt, _>(ACCOUNTS)
    .load::<Account>(conn)?;
    Ok(found.into_iter().map(|account| account.id).collect())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How much there is to take back.
pub fn count(conn: &mut AnyConn) -> QueryResult<i64> {
    let count = sql_query(
        "SELECT (SELECT COUNT(*) FROM comments c JOIN users u ON u.id = c.author_id WHERE u.deleted_at IS NOT NULL) \
         + (SELECT COUNT(*) FROM danmaku d JOIN users u ON u.id = d.author_id WHERE u.deleted_at IS NOT NULL) AS n",
    );
    Ok(count.get_result::<Count>(conn)?.n)
}
