//! The log of a room: whatever is said about a video, in one order. An entry gets its number by an update of the video's row
//! in the transaction that writes what it is about, so that numbers are dense: whoever sees the number n committed finds
//! 1 to n. Nothing but a purge removes an entry; what is taken back leaves its place, without its content.

mod read;

use common::db::{AnyConn, statement};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::messages::{RoomEntry, RoomEntryKind, VideoState};
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};

use super::videos::{VideoRow, lock, not_found, visible};
use crate::news::News;
use crate::schema::{room_log, videos};

pub use read::{head, heads, page, tail};

/// What of a video is counted beside its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Nothing,
    Comment,
    CommentGone,
    Danmaku,
    DanmakuGone,
}

/// What people write in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    Comment,
    Danmaku,
}

impl Post {
    const fn kind(self) -> RoomEntryKind {
        match self {
            Post::Comment => RoomEntryKind::Comment,
            Post::Danmaku => RoomEntryKind::Danmaku,
        }
    }

    const fn written(self) -> Counted {
        match self {
            Post::Comment => Counted::Comment,
            Post::Danmaku => Counted::Danmaku,
        }
    }

    const fn gone(self) -> Counted {
        match self {
            Post::Comment => Counted::CommentGone,
            Post::Danmaku => Counted::DanmakuGone,
        }
    }
}

/// Why nobody may be in a room any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    Trashed,
    Private,
    Purged,
}

impl Closing {
    const fn name(self) -> &'static str {
        match self {
            Closing::Trashed => "trashed",
            Closing::Private => "private",
            Closing::Purged => "purged",
        }
    }
}

#[derive(QueryableByName)]
struct Seq {
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Gives the room's next number and keeps the video's row from changing until the transaction ends. `None`: no such video.
fn next(conn: &mut AnyConn, video: &VideoId, counted: Counted) -> QueryResult<Option<i64>> {
    let text = match counted {
        Counted::Nothing => "UPDATE videos SET room_seq = room_seq + 1 WHERE id = $1 RETURNING room_seq AS seq",
        Counted::Comment => {
            "UPDATE videos SET room_seq = room_seq + 1, comment_count = comment_count + 1 \
             WHERE id = $1 RETURNING room_seq AS seq"
        }
        Counted::CommentGone => {
            "UPDATE videos SET room_seq = room_seq + 1, comment_count = comment_count - 1 \
             WHERE id = $1 RETURNING room_seq AS seq"
        }
        Counted::Danmaku => {
            "UPDATE videos SET room_seq = room_seq + 1, danmaku_count = danmaku_count + 1 \
             WHERE id = $1 RETURNING room_seq AS seq"
        }
        Counted::DanmakuGone => {
            "UPDATE videos SET room_seq = room_seq + 1, danmaku_count = danmaku_count - 1 \
             WHERE id = $1 RETURNING room_seq AS seq"
        }
    };
    let given = statement(text).bind::<Text, _>(video.as_str()).load::<Seq>(conn)?;
    Ok(given.first().map(|given| given.seq))
}

/// Gives `author` the next number of a room for a post, with the video as it is now; 404 when they may not see it, 409 when
/// it isn't ready. What is refused is rolled back, number and all.
pub fn enter(conn: &mut AnyConn, video: &VideoId, author: &Id, post: Post) -> Result<(i64, VideoRow), ApiError> {
    let seq = next(conn, video, post.written())?.ok_or_else(not_found)?;
    let (row, _) = visible(conn, video, Some(author))?;
    if row.state()? == VideoState::Ready {
        return Ok((seq, row));
    }
    let what = match post {
        Post::Comment => "Comments",
        Post::Danmaku => "Danmaku",
    };
    let detail = format!(
        "{what} need a video that is ready; the state of this one is `{}`.",
        row.state
    );
    Err(ApiError::new(Code::Conflict, detail))
}

/// An entry to be written.
struct Draft<'a> {
    kind: RoomEntryKind,
    of: Option<&'a Id>,
    author: Option<&'a Id>,
    data: Value,
}

fn append(
    conn: &mut AnyConn,
    news: &mut News,
    (video, seq, now): (&VideoId, i64, i64),
    draft: Draft<'_>,
) -> QueryResult<()> {
    diesel::insert_into(room_log::table)
        .values((
            room_log::video_id.eq(video.as_str()),
            room_log::seq.eq(seq),
            room_log::kind.eq(draft.kind.name()),
            room_log::ref_id.eq(draft.of.map(Id::as_str)),
            room_log::author_id.eq(draft.author.map(Id::as_str)),
            room_log::operation_id.eq(news.operation().as_str()),
            room_log::created_at.eq(now),
            room_log::payload.eq(Some(draft.data.to_string())),
        ))
        .execute(conn)?;
    let operation = Some(news.operation().clone());
    news.entry(RoomEntry {
        video: video.clone(),
        seq,
        kind: draft.kind,
        at: Timestamp(now),
        operation,
        data: draft.data,
    });
    Ok(())
}

/// Writes the entry of a post that [`enter`] gave its number.
pub fn posted(
    conn: &mut AnyConn,
    news: &mut News,
    place: (&VideoId, i64, i64),
    post: Post,
    (id, author): (&Id, &Id),
    data: Value,
) -> QueryResult<()> {
    let draft = Draft {
        kind: post.kind(),
        of: Some(id),
        author: Some(author),
        data,
    };
    append(conn, news, place, draft)
}

/// Locks the video of a post and says whether `user` may take it back: who wrote it may, and the owner of the video.
pub fn may_take_back(conn: &mut AnyConn, video: &VideoId, author: &Id, user: &Id) -> QueryResult<bool> {
    lock(conn, video)?;
    let owner: Option<Id> = videos::table
        .filter(videos::id.eq(video.as_str()))
        .select(videos::owner_id)
        .get_result(conn)
        .optional()?;
    Ok(author == user || owner.as_ref() == Some(user))
}

/// Empties the entry of a post whose row was removed, and says so to the room. `seq` is the entry's number; 0 when the post is
/// older than the log.
pub fn revoked(
    conn: &mut AnyConn,
    news: &mut News,
    video: &VideoId,
    post: Post,
    (id, seq): (&Id, i64),
    now: i64,
) -> Result<(), ApiError> {
    let place = next(conn, video, post.gone())?.ok_or_else(not_found)?;
    if seq > 0 {
        let entry = room_log::table
            .filter(room_log::video_id.eq(video.as_str()))
            .filter(room_log::seq.eq(seq));
        diesel::update(entry)
            .set((
                room_log::payload.eq(None::<String>),
                room_log::author_id.eq(None::<String>),
            ))
            .execute(conn)?;
    }
    let taken_back = (seq > 0).then_some(seq);
    let draft = Draft {
        kind: RoomEntryKind::Revoked,
        of: Some(id),
        author: None,
        data: json!({ "id": id, "kind": post.kind(), "seq": taken_back }),
    };
    Ok(append(conn, news, (video, place, now), draft)?)
}

/// Says what the video is called and who may see it now; what was said of that before is emptied, so that an old title
/// is kept nowhere.
pub fn info(conn: &mut AnyConn, news: &mut News, row: &VideoRow, now: i64) -> Result<(), ApiError> {
    let seq = next(conn, &row.id, Counted::Nothing)?.ok_or_else(not_found)?;
    // The conditions are those of the index.
    sql_query("UPDATE room_log SET payload = NULL WHERE video_id = $1 AND kind = 'info' AND payload IS NOT NULL")
        .bind::<Text, _>(row.id.as_str())
        .execute(conn)?;
    let draft = Draft {
        kind: RoomEntryKind::Info,
        of: None,
        author: None,
        data: json!({ "title": row.title, "visibility": row.visibility }),
    };
    Ok(append(conn, news, (&row.id, seq, now), draft)?)
}

/// Sends everybody out of the room.
pub fn closed(conn: &mut AnyConn, news: &mut News, video: &VideoId, why: Closing, now: i64) -> Result<(), ApiError> {
    let seq = next(conn, video, Counted::Nothing)?.ok_or_else(not_found)?;
    let draft = Draft {
        kind: RoomEntryKind::Closed,
        of: None,
        author: None,
        data: json!({ "reason": why.name() }),
    };
    Ok(append(conn, news, (video, seq, now), draft)?)
}
