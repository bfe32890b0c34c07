//! The two steps of a purge that happen here: the point of no return, and the end with its receipt. Both may be repeated.

use common::db::{AnyConn, now_ms};
use common::error::{ApiError, Code};
use common::ids::VideoId;
use common::messages::{Receipt, VideoState};
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::media::missing;
use super::rooms::{self, Closing};
use super::trash::{DONE, RUNNING};
use super::videos::{find, lock};
use crate::news::News;
use crate::schema::{comments, deletions, videos};
use common::views::FinalReceipt;

/// Trashed and due → purging. 409 when it was restored or is not due, 410 when the purge is over, 404 when it never was.
pub fn begin(conn: &mut AnyConn, news: &mut News, id: &VideoId) -> Result<(), ApiError> {
    let now = now_ms(conn)?;
    let due = videos::table
        .filter(videos::id.eq(id.as_str()))
        .filter(videos::state.eq(VideoState::Trashed.name()))
        .filter(videos::purge_at.le(now));
    let changed = diesel::update(due)
        .set(videos::state.eq(VideoState::Purging.name()))
        .execute(conn)?;
    if changed == 1 {
        diesel::update(deletions::table.filter(deletions::video_id.eq(id.as_str())))
            .set(deletions::state.eq(RUNNING))
            .execute(conn)?;
        return rooms::closed(conn, news, id, Closing::Purged, now);
    }
    match find(conn, id)? {
        Some((row, _)) if row.state()? == VideoState::Purging => Ok(()),
        Some((row, _)) if row.state()? == VideoState::Trashed => {
            Err(ApiError::new(Code::Conflict, "The purge of the video is not due."))
        }
        Some(_) => Err(ApiError::new(Code::Conflict, "The video is not in the trash.")),
        None => Err(missing(conn, id)?),
    }
}

/// Rows of each kind that one transaction of [`clear`] removes: nobody else can write while it runs.
const CLEAR_BATCH: i64 = 1_000;

/// Removes a part of what was said about a video whose purge has begun; gives how many rows. 0 when nothing is left.
pub fn clear(conn: &mut AnyConn, id: &VideoId) -> QueryResult<usize> {
    let purging = videos::table
        .filter(videos::id.eq(id.as_str()))
        .filter(videos::state.eq(VideoState::Purging.name()));
    if !diesel::select(diesel::dsl::exists(purging)).get_result::<bool>(conn)? {
        return Ok(0);
    }
    let mut removed = 0;
    for text in [
        "DELETE FROM danmaku WHERE id IN (SELECT id FROM danmaku WHERE video_id = $1 ORDER BY id LIMIT $2)",
        "DELETE FROM comments WHERE id IN (SELECT id FROM comments WHERE video_id = $1 ORDER BY id LIMIT $2)",
        "DELETE FROM room_log WHERE video_id = $1 AND seq IN \
         (SELECT seq FROM room_log WHERE video_id = $1 ORDER BY seq LIMIT $2)",
    ] {
        removed += sql_query(text)
            .bind::<Text, _>(id.as_str())
            .bind::<BigInt, _>(CLEAR_BATCH)
            .execute(conn)?;
    }
    Ok(removed)
}

/// Removes what is left of the video (its danmaku and its log go with it) and keeps the receipt; a repetition gives the receipt of the first time. Says
/// whether this was the first time.
pub fn done(
    conn: &mut AnyConn,
    news: &mut News,
    id: &VideoId,
    receipt: Receipt,
) -> Result<(FinalReceipt, bool), ApiError> {
    lock(conn, id)?;
    let Some((row, _)) = find(conn, id)? else {
        return kept(conn, id).map(|receipt| (receipt, false));
    };
    if row.state()? != VideoState::Purging {
        return Err(ApiError::new(Code::Conflict, "The purge of the video has not begun."));
    }
    let now = now_ms(conn)?;
    let amount = |n: u64| i64::try_from(n).map_err(|_| ApiError::invalid("/receipt", "a number is too large"));
    let (objects, bytes) = (amount(receipt.objects)?, amount(receipt.bytes)?);
    diesel::delete(comments::table.filter(comments::video_id.eq(id.as_str()))).execute(conn)?;
    diesel::delete(videos::table.filter(videos::id.eq(id.as_str()))).execute(conn)?;
    diesel::update(deletions::table.filter(deletions::video_id.eq(id.as_str())))
        .set((
            deletions::state.eq(DONE),
            deletions::objects.eq(Some(objects)),
            deletions::bytes.eq(Some(bytes)),
            deletions::finished_at.eq(Some(now)),
        ))
        .execute(conn)?;
    let receipt = FinalReceipt {
        objects,
        bytes,
        finished_at: Timestamp(now),
    };
    news.owner(&row.owner_id, "OnVideoPurged", id);
    Ok((receipt, true))
}

/// The receipt of a purge that is over; 404 when there was none.
fn kept(conn: &mut AnyConn, id: &VideoId) -> Result<FinalReceipt, ApiError> {
    type Columns = (Option<i64>, Option<i64>, Option<i64>);
    let found: Option<Columns> = deletions::table
        .filter(deletions::video_id.eq(id.as_str()))
        .filter(deletions::state.eq(DONE))
        .select((deletions::objects, deletions::bytes, deletions::finished_at))
        .get_result(conn)
        .optional()?;
    match found {
        Some((Some(objects), Some(bytes), Some(finished_at))) => Ok(FinalReceipt {
            objects,
            bytes,
            finished_at: Timestamp(finished_at),
        }),
        _ => Err(super::videos::not_found()),
    }
}
