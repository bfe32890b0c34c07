//! Danmaku: comments that belong to a moment of the video.

use common::db::{AnyConn, now_ms};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::time::Timestamp;
use common::views::{Danmaku, DanmakuMode};
use diesel::prelude::*;

use super::limited::limited;
use super::rooms::{self, Post};
use super::videos::{AuthorRow, hold_account, visible};
use crate::news::News;
use crate::schema::{danmaku, users};

/// Latest moment where the length of the video is not known, in milliseconds: a day.
const MAX_MOMENT: i64 = 86_400_000;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = danmaku)]
pub struct DanmakuRow {
    pub id: Id,
    pub at_ms: i64,
    pub mode: String,
    pub color: String,
    pub text: String,
    pub created_at: i64,
}

fn view((row, author): (DanmakuRow, AuthorRow)) -> Result<Danmaku, ApiError> {
    let mode = DanmakuMode::from_name(&row.mode)
        .ok_or_else(|| ApiError::internal(format!("danmaku {} has the unknown mode {}", row.id, row.mode)))?;
    Ok(Danmaku {
        id: row.id,
        text: row.text,
        at_ms: row.at_ms,
        mode,
        color: row.color,
        author: author.into(),
        created_at: Timestamp(row.created_at),
    })
}

/// What a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Moments from `from` to before `to`, behind the place of a cursor, by moment and id.
    Moments {
        from: i64,
        to: i64,
        after: Option<(i64, String)>,
    },
    /// Those written after one, by id.
    After(String),
}

/// Danmaku of a video that `viewer` may see: at least `limit`, if there are as many.
pub fn list(
    conn: &mut AnyConn,
    video: &VideoId,
    viewer: Option<&Id>,
    question: Question,
    limit: i64,
) -> Result<Vec<Danmaku>, ApiError> {
    visible(conn, video, viewer)?;
    let all = danmaku::table
        .inner_join(users::table)
        .filter(danmaku::video_id.eq(video.as_str()))
        // What a closed account wrote is gone at once, though it is removed in batches.
        .filter(users::deleted_at.is_null());
    let columns = (DanmakuRow::as_select(), AuthorRow::as_select());
    let found: Vec<(DanmakuRow, AuthorRow)> = match question {
        Question::Moments { from, to, after } => {
            // Every id is larger: the same statement serves the first page.
            let (at, id) = after.unwrap_or((from, String::new()));
            let behind = all
                .filter(danmaku::at_ms.ge(at.max(from)))
                .filter(danmaku::at_ms.lt(to))
                .filter(danmaku::at_ms.gt(at).or(danmaku::id.gt(id)))
                .order((danmaku::at_ms, danmaku::id))
                .select(columns);
            limited(behind, limit).load(conn)?
        }
        Question::After(id) => {
            let behind = all.filter(danmaku::id.gt(id)).order(danmaku::id).select(columns);
            limited(behind, limit).load(conn)?
        }
    };
    found.into_iter().map(view).collect()
}

/// A danmaku to be written, checked but for its moment.
#[derive(Debug, Clone)]
pub struct NewDanmaku {
    pub id: Id,
    pub text: String,
    pub at_ms: i64,
    pub mode: DanmakuMode,
    pub color: String,
}

/// Writes a danmaku on a ready video that `author` may see and that has fewer than `most`.
pub fn insert(
    conn: &mut AnyConn,
    news: &mut News,
    video: &VideoId,
    author: &Id,
    draft: &NewDanmaku,
    most: i64,
) -> Result<Danmaku, ApiError> {
    let name = hold_account(conn, author)?;
    let (seq, row) = rooms::enter(conn, video, author, Post::Danmaku)?;
    if row.danmaku_count > most {
        let detail = format!("This video has as many danmaku as are kept: {most}.");
        return Err(ApiError::new(Code::Conflict, detail));
    }
    let last = row.duration_ms.unwrap_or(MAX_MOMENT);
    if !(0..=last).contains(&draft.at_ms) {
        return Err(ApiError::invalid(
            "/atMs",
            format!("0 to {last}, the length of the video in milliseconds"),
        ));
    }
    let now = now_ms(conn)?;
    diesel::insert_into(danmaku::table)
        .values((
            danmaku::id.eq(draft.id.as_str()),
            danmaku::video_id.eq(video.as_str()),
            danmaku::author_id.eq(author.as_str()),
            danmaku::room_seq.eq(seq),
            danmaku::at_ms.eq(draft.at_ms),
            danmaku::mode.eq(draft.mode.name()),
            danmaku::color.eq(&draft.color),
            danmaku::text.eq(&draft.text),
            danmaku::created_at.eq(now),
        ))
        .execute(conn)?;
    let written = Danmaku {
        id: draft.id.clone(),
        text: draft.text.clone(),
        at_ms: draft.at_ms,
        mode: draft.mode,
        color: draft.color.clone(),
        author: name.into(),
        created_at: Timestamp(now),
    };
    let data = serde_json::to_value(&written).map_err(ApiError::internal)?;
    rooms::posted(
        conn,
        news,
        (video, seq, now),
        Post::Danmaku,
        (&written.id, author),
        data,
    )?;
    Ok(written)
}

/// Removes a danmaku; 404 unless `user` wrote it or owns the video.
pub fn remove(conn: &mut AnyConn, news: &mut News, id: &Id, user: &Id) -> Result<(), ApiError> {
    let not_found = || ApiError::not_found("danmaku");
    let found: Option<(VideoId, Id, i64)> = danmaku::table
        .filter(danmaku::id.eq(id.as_str()))
        .select((danmaku::video_id, danmaku::author_id, danmaku::room_seq))
        .get_result(conn)
        .optional()?;
    let (video, author, seq) = found.ok_or_else(not_found)?;
    if !rooms::may_take_back(conn, &video, &author, user)? {
        return Err(not_found());
    }
    if diesel::delete(danmaku::table.filter(danmaku::id.eq(id.as_str()))).execute(conn)? == 0 {
        return Err(not_found());
    }
    let now = now_ms(conn)?;
    rooms::revoked(conn, news, &video, Post::Danmaku, (id, seq), now)
}
