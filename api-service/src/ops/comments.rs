//! Comments. The count in the video's row changes in the same transaction; that update is also what makes sure that the
//! video is still there and ready.

use common::db::{AnyConn, now_ms};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use super::limited::limited;
use super::videos::{AuthorRow, hold_account, lock, visible};
use crate::schema::{comments, users, videos};
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
pub fn insert(conn: &mut AnyConn, video: &VideoId, author: &Id, comment: &NewComment) -> Result<Comment, ApiError> {
    hold_account(conn, author)?;
    lock(conn, video)?;
    let (row, _) = visible(conn, video, Some(author))?;
    if row.state()? != VideoState::Ready {
        return Err(ApiError::new(
            Code::Conflict,
            format!(
                "Comments need a video that is ready; the state of this one is `{}`.",
                row.state
            ),
        ));
    }
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
        ))
        .execute(conn)?;
    diesel::update(videos::table.filter(videos::id.eq(video.as_str())))
        .set(videos::comment_count.eq(videos::comment_count + 1))
        .execute(conn)?;
    let found = comments::table
        .inner_join(users::table)
        .filter(comments::id.eq(comment.id.as_str()))
        .select((CommentRow::as_select(), AuthorRow::as_select()))
        .get_result(conn)?;
    Ok(view(found))
}

/// Removes a comment; 404 unless `user` wrote it or owns the video. Answers to it stay.
pub fn remove(conn: &mut AnyConn, id: &Id, user: &Id) -> Result<(), ApiError> {
    let not_found = || ApiError::not_found("comment");
    let found: Option<(VideoId, Id)> = comments::table
        .filter(comments::id.eq(id.as_str()))
        .select((comments::video_id, comments::author_id))
        .get_result(conn)
        .optional()?;
    let (video, author) = found.ok_or_else(not_found)?;
    lock(conn, &video)?;
    let owner: Option<Id> = videos::table
        .filter(videos::id.eq(video.as_str()))
        .select(videos::owner_id)
        .get_result(conn)
        .optional()?;
    if author != *user && owner.as_ref() != Some(user) {
        return Err(not_found());
    }
    let removed = diesel::delete(comments::table.filter(comments::id.eq(id.as_str()))).execute(conn)?;
    if removed == 0 {
        return Err(not_found());
    }
    diesel::update(videos::table.filter(videos::id.eq(video.as_str())))
        .set(videos::comment_count.eq(videos::comment_count - 1))
        .execute(conn)?;
    Ok(())
}

/// Removes every comment of `author`, and takes them off the counts.
pub fn remove_all_of(conn: &mut AnyConn, author: &Id) -> QueryResult<()> {
    sql_query(
        "UPDATE videos SET comment_count = comment_count - \
         (SELECT COUNT(*) FROM comments c WHERE c.video_id = videos.id AND c.author_id = $1) \
         WHERE id IN (SELECT video_id FROM comments WHERE author_id = $1)",
    )
    .bind::<Text, _>(author.as_str())
    .execute(conn)?;
    diesel::delete(comments::table.filter(comments::author_id.eq(author.as_str()))).execute(conn)?;
    Ok(())
}
