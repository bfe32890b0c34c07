//! Into the trash and back. Every change here is a compare-and-set on `state`, so that of a restore and a purge that
//! meet exactly one happens.

use common::db::{AnyConn, now_ms};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::messages::VideoState;
use common::time::Timestamp;
use diesel::prelude::*;

use super::messages;
use super::rooms::{self, Closing};
use super::videos::{Found, VideoRow, hold_account, lock, not_found, own};
use crate::news::News;
use crate::schema::{deletions, videos};
use common::views::{Deletion, DeletionState, FinalReceipt};

/// `deletions.state`.
pub const SCHEDULED: &str = "scheduled";
pub const RUNNING: &str = "running";
pub const DONE: &str = "done";

/// How long the trash keeps a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// For that many milliseconds.
    For(i64),
    /// Not at all: the purge is due at once.
    No,
}

pub fn purge_has_begun() -> ApiError {
    ApiError::new(
        Code::Conflict,
        "The purge has begun; the video can't be brought back or changed.",
    )
}

/// Moves a video of `owner` to the trash; one that is there already stays as it is, unless it is not to be kept.
/// Says whether anything changed.
pub fn trash(
    conn: &mut AnyConn,
    news: &mut News,
    id: &VideoId,
    owner: &Id,
    keep: Keep,
) -> Result<(Found, bool), ApiError> {
    lock(conn, id)?;
    let (mut row, author) = own(conn, id, owner)?;
    let now = now_ms(conn)?;
    let changed = match (row.state()?, keep) {
        (VideoState::Purging, _) | (VideoState::Trashed, Keep::For(_)) => false,
        (VideoState::Trashed, Keep::No) => hasten(conn, news, &mut row, now)?,
        (state, Keep::For(ms)) => begin(conn, news, &mut row, state, (now, now.saturating_add(ms)))?,
        (state, Keep::No) => begin(conn, news, &mut row, state, (now, now))?,
    };
    if changed {
        news.owner(owner, "OnVideoTrashed", id);
        news.media(id);
    }
    Ok(((row, author), changed))
}

fn begin(
    conn: &mut AnyConn,
    news: &mut News,
    row: &mut VideoRow,
    from: VideoState,
    (now, purge_at): (i64, i64),
) -> Result<bool, ApiError> {
    let version = row.version + 1;
    diesel::update(videos::table.filter(videos::id.eq(row.id.as_str())))
        .set((
            videos::state.eq(VideoState::Trashed.name()),
            videos::trashed_from.eq(Some(from.name())),
            videos::purge_at.eq(Some(purge_at)),
            videos::version.eq(version),
        ))
        .execute(conn)?;
    diesel::insert_into(deletions::table)
        .values((
            deletions::video_id.eq(row.id.as_str()),
            deletions::owner_id.eq(row.owner_id.as_str()),
            deletions::state.eq(SCHEDULED),
            deletions::purge_at.eq(purge_at),
        ))
        .execute(conn)?;
    row.version = version;
    messages::visibility(conn, &row.id, row.media(true), news.operation())?;
    messages::purge_job(conn, &row.id, purge_at, news.operation())?;
    rooms::closed(conn, news, &row.id, Closing::Trashed, now)?;
    row.state = VideoState::Trashed.name().to_owned();
    row.trashed_from = Some(from.name().to_owned());
    row.purge_at = Some(purge_at);
    Ok(true)
}

/// In the trash already: the purge becomes due now, if it wasn't.
fn hasten(conn: &mut AnyConn, news: &News, row: &mut VideoRow, now: i64) -> Result<bool, ApiError> {
    if row.purge_at.is_some_and(|due| due <= now) {
        return Ok(false);
    }
    diesel::update(videos::table.filter(videos::id.eq(row.id.as_str())))
        .set(videos::purge_at.eq(Some(now)))
        .execute(conn)?;
    diesel::update(deletions::table.filter(deletions::video_id.eq(row.id.as_str())))
        .set(deletions::purge_at.eq(now))
        .execute(conn)?;
    messages::purge_job(conn, &row.id, now, news.operation())?;
    row.purge_at = Some(now);
    Ok(true)
}

/// Brings a trashed video of `owner` back as it was; 409 when it is not in the trash or its purge has begun.
pub fn restore(conn: &mut AnyConn, news: &mut News, id: &VideoId, owner: &Id) -> Result<Found, ApiError> {
    hold_account(conn, owner)?;
    lock(conn, id)?;
    let found = own(conn, id, owner);
    let (mut row, author) = match found {
        Err(_) if was_purged(conn, id, owner)? => return Err(purge_has_begun()),
        found => found?,
    };
    match row.state()? {
        VideoState::Trashed => {}
        VideoState::Purging => return Err(purge_has_begun()),
        _ => return Err(ApiError::new(Code::Conflict, "The video is not in the trash.")),
    }
    let state = row
        .trashed_from
        .take()
        .unwrap_or_else(|| VideoState::Failed.name().to_owned());
    let version = row.version + 1;
    let trashed = videos::table
        .filter(videos::id.eq(id.as_str()))
        .filter(videos::state.eq(VideoState::Trashed.name()));
    let changed = diesel::update(trashed)
        .set((
            videos::state.eq(&state),
            videos::trashed_from.eq(None::<String>),
            videos::purge_at.eq(None::<i64>),
            videos::version.eq(version),
        ))
        .execute(conn)?;
    if changed == 0 {
        return Err(purge_has_begun());
    }
    diesel::delete(deletions::table.filter(deletions::video_id.eq(id.as_str()))).execute(conn)?;
    row.version = version;
    messages::visibility(conn, id, row.media(false), news.operation())?;
    messages::cancel_job(conn, id, news.operation())?;
    row.state = state;
    row.purge_at = None;
    let now = now_ms(conn)?;
    rooms::info(conn, news, &row, now)?;
    news.owner(owner, "OnVideoRestored", id);
    news.media(id);
    Ok((row, author))
}

fn was_purged(conn: &mut AnyConn, id: &VideoId, owner: &Id) -> QueryResult<bool> {
    let done = deletions::table
        .filter(deletions::video_id.eq(id.as_str()))
        .filter(deletions::owner_id.eq(owner.as_str()))
        .filter(deletions::state.eq(DONE));
    diesel::select(diesel::dsl::exists(done)).get_result(conn)
}

/// How far the deletion of a video of `owner` is; 404 when it is not (and was not) theirs or is not deleted.
pub fn deletion(conn: &mut AnyConn, id: &VideoId, owner: &Id) -> Result<Deletion, ApiError> {
    type Columns = (String, i64, Option<i64>, Option<i64>, Option<i64>);
    let found: Option<Columns> = deletions::table
        .filter(deletions::video_id.eq(id.as_str()))
        .filter(deletions::owner_id.eq(owner.as_str()))
        .select((
            deletions::state,
            deletions::purge_at,
            deletions::objects,
            deletions::bytes,
            deletions::finished_at,
        ))
        .get_result(conn)
        .optional()?;
    let (state, purge_at, objects, bytes, finished_at) = found.ok_or_else(not_found)?;
    let state = match state.as_str() {
        SCHEDULED => DeletionState::Scheduled,
        RUNNING => DeletionState::Running,
        _ => DeletionState::Done,
    };
    let receipt = match (objects, bytes, finished_at) {
        (Some(objects), Some(bytes), Some(finished_at)) => Some(FinalReceipt {
            objects,
            bytes,
            finished_at: Timestamp(finished_at),
        }),
        _ => None,
    };
    Ok(Deletion {
        state,
        purge_at: Timestamp(purge_at),
        receipt,
    })
}
