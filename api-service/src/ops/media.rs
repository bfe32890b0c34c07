//! What stream-service reports about the media of a video. Reports may come twice, late, and while the video is in the
//! trash: then the state that a restore brings back is what changes.

use common::db::{AnyConn, now_ms, statement};
use common::error::{ApiError, Code};
use common::ids::{Id, VideoId};
use common::messages::{MediaFailed, MediaReady, VideoState};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::trash::DONE;
use super::videos::{VideoRow, find, lock, not_found};
use crate::news::News;
use crate::schema::{deletions, videos};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 500;

/// What an upload that never came is told to its owner.
const NEVER_ARRIVED: &str = "The upload never arrived.";

/// Videos that one transaction of the sweep ends.
const SWEEP_BATCH: i64 = 1_000;

/// The video, locked; 410 when its purge has begun or is over, 404 when it never was.
fn reported(conn: &mut AnyConn, id: &VideoId) -> Result<VideoRow, ApiError> {
    lock(conn, id)?;
    match find(conn, id)? {
        Some((row, _)) if row.state()? == VideoState::Purging => Err(gone()),
        Some((row, _)) => Ok(row),
        None => Err(missing(conn, id)?),
    }
}

/// 410 when the video was purged, 404 when it never was.
pub fn missing(conn: &mut AnyConn, id: &VideoId) -> QueryResult<ApiError> {
    let done = deletions::table
        .filter(deletions::video_id.eq(id.as_str()))
        .filter(deletions::state.eq(DONE));
    let purged: bool = diesel::select(diesel::dsl::exists(done)).get_result(conn)?;
    Ok(if purged { gone() } else { not_found() })
}

pub fn gone() -> ApiError {
    ApiError::new(Code::Gone, "The video has been purged.")
}

fn number(value: Option<u64>) -> Result<Option<i64>, ApiError> {
    let too_large = |_| ApiError::invalid("", "a number is too large");
    value.map(i64::try_from).transpose().map_err(too_large)
}

/// The media is durable. A repetition changes nothing; other media than the video has already is a conflict.
pub fn ready(conn: &mut AnyConn, news: &mut News, id: &VideoId, media: &MediaReady) -> Result<(), ApiError> {
    let row = reported(conn, id)?;
    let trashed = row.state()? == VideoState::Trashed;
    let state = if trashed {
        row.trashed_from.as_deref().unwrap_or_default()
    } else {
        row.state.as_str()
    };
    if state == VideoState::Ready.name() {
        let known: Option<String> = videos::table
            .filter(videos::id.eq(id.as_str()))
            .select(videos::sha256)
            .get_result(conn)?;
        if known.as_deref() == Some(media.sha256.as_str()) {
            return Ok(());
        }
        return Err(ApiError::new(Code::Conflict, "The video has other media already."));
    }
    let now = now_ms(conn)?;
    let codecs = serde_json::to_string(&media.codecs).map_err(ApiError::internal)?;
    statement(
        "UPDATE videos SET size_bytes = $1, sha256 = $2, mime = $3, duration_ms = $4, width = $5, height = $6, codecs = $7, \
         failure = NULL, ready_at = $8 WHERE id = $9",
    )
    .bind::<Nullable<BigInt>, _>(number(Some(media.size_bytes))?)
    .bind::<Text, _>(&media.sha256)
    .bind::<Text, _>(&media.mime)
    .bind::<Nullable<BigInt>, _>(number(media.duration_ms)?)
    .bind::<Nullable<BigInt>, _>(media.width.map(i64::from))
    .bind::<Nullable<BigInt>, _>(media.height.map(i64::from))
    .bind::<Text, _>(codecs)
    // A video whose lost media came back keeps its place in the list.
    .bind::<BigInt, _>(if row.ready_at > 0 { row.ready_at } else { now })
    .bind::<Text, _>(id.as_str())
    .execute(conn)?;
    move_to(conn, id, trashed, VideoState::Ready)?;
    if !trashed {
        news.owner(&row.owner_id, "OnVideoReady", id);
    }
    Ok(())
}

/// There is no media, or no media any more.
pub fn failed(conn: &mut AnyConn, news: &mut News, id: &VideoId, failure: &MediaFailed) -> Result<(), ApiError> {
    let row = reported(conn, id)?;
    let trashed = row.state()? == VideoState::Trashed;
    let state = if trashed {
        row.trashed_from.as_deref().unwrap_or_default()
    } else {
        row.state.as_str()
    };
    if state == VideoState::Failed.name() {
        return Ok(());
    }
    let reason: String = failure.reason.chars().take(MAX_REASON).collect();
    diesel::update(videos::table.filter(videos::id.eq(id.as_str())))
        .set(videos::failure.eq(Some(reason)))
        .execute(conn)?;
    move_to(conn, id, trashed, VideoState::Failed)?;
    if !trashed {
        news.owner(&row.owner_id, "OnVideoFailed", id);
    }
    Ok(())
}

/// Sets the state, or the state behind the trash.
fn move_to(conn: &mut AnyConn, id: &VideoId, trashed: bool, state: VideoState) -> QueryResult<()> {
    let text = if trashed {
        "UPDATE videos SET trashed_from = $1 WHERE id = $2"
    } else {
        "UPDATE videos SET state = $1 WHERE id = $2"
    };
    statement(text)
        .bind::<Text, _>(state.name())
        .bind::<Text, _>(id.as_str())
        .execute(conn)
        .map(drop)
}

/// How many videos wait for an upload that can't come any more: the newest grant ended `grace` ms ago.
pub fn count_overdue(conn: &mut AnyConn, grace: i64) -> QueryResult<i64> {
    let before = now_ms(conn)?.saturating_sub(grace);
    videos::table
        .filter(videos::state.eq(VideoState::AwaitingUpload.name()))
        .filter(videos::upload_until.lt(before))
        .count()
        .get_result(conn)
}

/// Ends up to a batch of them; gives how many. 0 when none is left.
pub fn fail_overdue(conn: &mut AnyConn, news: &mut News, grace: i64) -> QueryResult<u64> {
    let before = now_ms(conn)?.saturating_sub(grace);
    let overdue: Vec<(VideoId, Id)> = videos::table
        .filter(videos::state.eq(VideoState::AwaitingUpload.name()))
        .filter(videos::upload_until.lt(before))
        .order(videos::upload_until)
        .limit(SWEEP_BATCH)
        .select((videos::id, videos::owner_id))
        .load(conn)?;
    let mut ended = 0;
    for (id, owner) in overdue {
        let waiting = videos::table
            .filter(videos::id.eq(id.as_str()))
            .filter(videos::state.eq(VideoState::AwaitingUpload.name()));
        let changed = diesel::update(waiting)
            .set((
                videos::state.eq(VideoState::Failed.name()),
                videos::failure.eq(Some(NEVER_ARRIVED)),
            ))
            .execute(conn)?;
        if changed == 1 {
            ended += 1;
            news.owner(&owner, "OnVideoFailed", &id);
        }
    }
    Ok(ended)
}
