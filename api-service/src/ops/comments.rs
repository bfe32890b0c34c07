//! Comments. Each has its entry in the log of the room; the count in the video's row changes in the same transaction.

use common::db::{AnyConn, now_ms};
use common::error::ApiError;
use common::ids::{Id, VideoId};
use common::time::Timestamp;
use diesel::prelude::*;

use super::limited::limited;
use super::rooms::{self, Post};
use super::videos::{AuthorRow, hold_account, visible};
use crate::news::News;
use crate::schema::{comments, users};
use common::views::Comment;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = comments)]
pub struct CommentRow {
    pub id: Id,
    pub parent_id: Option<Id>,
    pub text: String,
    pub created_at: i64,
}

fn view((row, author): (CommentRow, AuthorRow)) -> Comment {
    Comment {
        id: row.id,
        text: row.text,
        parent_id: row.parent_id,
        author: author.into(),
        created_at: Timestamp(row.created_at),
    }
}

/// A page of the comments of a video that `viewer` may see, newest first, those before `before`; at least `limit`,
/// if there are as many.
pub fn list(
    conn: &mut AnyConn,
    video: &VideoId,
    viewer: Option<&Id>,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<Comment>, ApiError> {
    visible(conn, video, viewer)?;
    let newest = comments::table
        .inner_join(users::table)
        .filter(comments::video_id.eq(video.as_str()))
        // What a closed account wrote is gone at once, though it is removed in batches.
        .filter(users::deleted_at.is_null())
        // Every id is smaller: the same statement serves the first page.
        .filter(comments::id.lt(before.unwrap_or("~")))
        .order(comments::id.desc())
        .select((CommentRow::as_select(), AuthorRow::as_select()));
    let found: Vec<(CommentRow, AuthorRow)> = limited(newest, limit).load(conn)?;
    Ok(found.into_iter().map(view).collect())
}

/// A comment to be written, checked.
#[derive(Debug, Clone)]
pub struct NewComment {
    pub id: Id,
    pub text: String,
    pub parent: Option<Id>,
}

/// Writes a comment on a ready video that `author` may see.
pub fn insert(
    conn: &mut AnyConn,
    news: &mut News,
    video: &VideoId,
    author: &Id,
    comment: &NewComment,
) -> Result<Comment, ApiError> {
    let name = hold_account(conn, author)?;
    let (seq, _) = rooms::enter(conn, video, author, Post::Comment)?;
    if let Some(parent) = &comment.parent {
        let there = comments::table
            .filter(comments::id.eq(parent.as_str()))
            .filter(comments::video_id.eq(video.as_str()));
        if !diesel::select(diesel::dsl::exists(there)).get_result::<bool>(conn)? {
            return Err(ApiError::invalid(
                "/parentId",
                "There is no such comment on this video.",
            ));
        }
    }
    let now = now_ms(conn)?;
    diesel::insert_into(comments::table)
        .values((
            comments::id.eq(comment.id.as_str()),
            comments::video_id.eq(video.as_str()),
            comments::author_id.eq(author.as_str()),
            comments::parent_id.eq(comment.parent.as_ref().map(Id::as_str)),
            comments::text.eq(&comment.text),
            comments::created_at.eq(now),
            comments::room_seq.eq(seq),
        ))
        .execute(conn)?;
    let written = Comment {
        id: comment.id.clone(),
        text: comment.text.clone(),
        parent_id: comment.parent.clone(),
        author: name.into(),
        created_at: Timestamp(now),
    };
    let data = serde_json::to_value(&written).map_err(ApiError::internal)?;
    rooms::posted(
        conn,
        news,
        (video, seq, now),
        Post::Comment,
        (&written.id, author),
        data,
    )?;
    Ok(written)
}

/// Removes a comment; 404 unless `user` wrote it or owns the video. Answers to it stay.
pub fn remove(conn: &mut AnyConn, news: &mut News, id: &Id, user: &Id) -> Result<(), ApiError> {
    let not_found = || ApiError::not_found("comment");
    let found: Option<(VideoId, Id, i64)> = comments::table
        .filter(comments::id.eq(id.as_str()))
        .select((comments::video_id, comments::author_id, comments::room_seq))
        .get_result(conn)
        .optional()?;
    let (video, author, seq) = found.ok_or_else(not_found)?;
    if !rooms::may_take_back(conn, &video, &author, user)? {
        return Err(not_found());
    }
    if diesel::delete(comments::table.filter(comments::id.eq(id.as_str()))).execute(conn)? == 0 {
        return Err(not_found());
    }
    let now = now_ms(conn)?;
    rooms::revoked(conn, news, &video, Post::Comment, (id, seq), now)
}
