//! The two steps of a purge that happen here: the point of no return, and the end with its receipt. Both may be repeated.

use common::db::{AnyConn, now_ms, statement};
use common::error::{ApiError, Code};
use common::ids::VideoId;
use common::messages::{Receipt, VideoState};
use common::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::media::missing;
use super::rooms::{self, Closing};
use super::trash::{DONE, RUNNING};
use super::videos::{find, lock};
use crate::news::News;
use crate::schema::{deletions, videos};
use common::views::FinalReceipt;

/// Trashed and due → purging. 409 when it was restored or is not due, 410 when the purge is over, 404 when it never was.
pub fn begin(conn: &mut AnyConn, news: &mut News, id: &VideoId) -> Result<(), ApiError> {
    let now = now_ms(conn)?;
    let changed = statement("UPDATE videos SET state = $1 WHERE id = $2 AND state = $3 AND purge_at <= $4")
        .bind::<Text, _>(VideoState::Purging.name())
        .bind::<Text, _>(id.as_str())
        .bind::<Text, _>(VideoState::Trashed.name())
        .bind::<BigInt, _>(now)
        .execute(conn)?;
    if changed == 1 {
        statement("UPDATE deletions SET state = $1 WHERE video_id = $2")
            .bind::<Text, _>(RUNNING)
            .bind::<Text, _>(id.as_str())
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

/// Rows of each kind that one transaction of [`done`] removes: nobody else can write while it runs.
const CLEAR_BATCH: i64 = 1_000;

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = Bool)]
    rest: bool,
}

/// Removes a part of what was said about a video whose purge has begun; says whether that was all.
fn clear(conn: &mut AnyConn, id: &VideoId) -> QueryResult<bool> {
    let id = id.as_str();
    for text in [
        "DELETE FROM danmaku WHERE id IN (SELECT id FROM danmaku WHERE video_id = $1 ORDER BY id LIMIT $2)",
        "DELETE FROM comments WHERE id IN (SELECT id FROM comments WHERE video_id = $1 ORDER BY id LIMIT $2)",
    ] {
        statement(text)
            .bind::<Text, _>(id)
            .bind::<BigInt, _>(CLEAR_BATCH)
            .execute(conn)?;
    }
    // Its numbers are dense.
    statement(
        "DELETE FROM room_log WHERE video_id = $1 AND seq < (SELECT MIN(seq) FROM room_log WHERE video_id = $2) + $3",
    )
    .bind::<Text, _>(id)
    .bind::<Text, _>(id)
    .bind::<BigInt, _>(CLEAR_BATCH)
    .execute(conn)?;
    // How many went does not tell: another caller may have removed the same ones meanwhile.
    let left: Left = statement(
        "SELECT EXISTS (SELECT 1 FROM danmaku WHERE video_id = $1) OR EXISTS (SELECT 1 FROM comments WHERE video_id = $2) \
         OR EXISTS (SELECT 1 FROM room_log WHERE video_id = $3) AS rest",
    )
    .bind::<Text, _>(id)
    .bind::<Text, _>(id)
    .bind::<Text, _>(id)
    .get_result(conn)?;
    Ok(!left.rest)
}

/// What became of the end of a purge.
pub enum End {
    /// A part of what was said about the video is removed: to be called again.
    Partly,
    /// With this receipt, for the first time.
    Done(FinalReceipt),
    /// With this receipt, before.
    Repeated(FinalReceipt),
}

/// Removes what is left of the video, or a part of it where that is much, and keeps the receipt; a repetition gives the receipt of
/// the first time.
pub fn done(conn: &mut AnyConn, news: &mut News, id: &VideoId, receipt: Receipt) -> Result<End, ApiError> {
    lock(conn, id)?;
    let Some((row, _)) = find(conn, id)? else {
        return kept(conn, id).map(End::Repeated);
    };
    if row.state()? != VideoState::Purging {
        return Err(ApiError::new(Code::Conflict, "The purge of the video has not begun."));
    }
    if !clear(conn, id)? {
        return Ok(End::Partly);
    }
    let now = now_ms(conn)?;
    let amount = |n: u64| i64::try_from(n).map_err(|_| ApiError::invalid("/receipt", "a number is too large"));
    let (objects, bytes) = (amount(receipt.objects)?, amount(receipt.bytes)?);
    diesel::delete(videos::table.filter(videos::id.eq(id.as_str()))).execute(conn)?;
    statement("UPDATE deletions SET state = $1, objects = $2, bytes = $3, finished_at = $4 WHERE video_id = $5")
        .bind::<Text, _>(DONE)
        .bind::<BigInt, _>(objects)
        .bind::<BigInt, _>(bytes)
        .bind::<BigInt, _>(now)
        .bind::<Text, _>(id.as_str())
        .execute(conn)?;
    let receipt = FinalReceipt {
        objects,
        bytes,
        finished_at: Timestamp(now),
    };
    news.owner(&row.owner_id, "OnVideoPurged", id);
    Ok(End::Done(receipt))
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
