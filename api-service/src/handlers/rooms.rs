//! The log of a room: to clients, and to the gateways.

use actix_web::web;
use common::error::ApiError;
use common::http::Body;
use common::ids::VideoId;
use common::messages::{RoomHeads, RoomList, RoomLog};
use serde::Deserialize;

use crate::auth::MaybeSignedIn;
use crate::input::Paging;
use crate::ops::{rooms, videos};
use crate::state::State;

/// Entries of a page when the caller names no number, and the most it may name.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;

/// Rooms one question may name.
const MAX_ROOMS: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsQuery {
    after_seq: Option<i64>,
    limit: Option<u32>,
    /// Of the internal address: the newest so many.
    last: Option<u32>,
}

fn in_bounds(number: Option<u32>) -> Result<i64, ApiError> {
    let paging = Paging {
        cursor: None,
        limit: number,
    };
    paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT)
}

fn not_negative(after: Option<i64>) -> Result<i64, ApiError> {
    match after.unwrap_or(0) {
        after @ 0.. => Ok(after),
        _ => Err(ApiError::invalid("/afterSeq", "0 or more")),
    }
}

/// What was said about a video, in order: danmaku, comments, what was taken back, changes of the room. Entries after `afterSeq`,
/// the oldest first; their numbers have no gap. An answer ends at about 384 KiB, too: `next` says where to read on.
#[utoipa::path(get, path = "/api/v1/videos/{id}/events", tag = "rooms",
    params(("id" = String, Path), ("afterSeq" = Option<i64>, Query, minimum = 0),
        ("limit" = Option<u32>, Query, maximum = 1000)),
    responses((status = 200, body = RoomLog)))]
pub async fn events(
    viewer: MaybeSignedIn,
    id: web::Path<VideoId>,
    query: web::Query<EventsQuery>,
    state: web::Data<State>,
) -> Result<web::Json<RoomLog>, ApiError> {
    let (after, limit) = (not_negative(query.after_seq)?, in_bounds(query.limit)?);
    let read = state.db.read(move |conn| {
        let (row, _) = videos::visible(conn, &id, viewer.user())?;
        rooms::page(conn, &id, row.room_seq, after, limit)
    });
    read.await.map(web::Json)
}

/// The same for the gateways, whoever may see the video; with `last` the end of the log.
pub async fn log(
    id: web::Path<VideoId>,
    query: web::Query<EventsQuery>,
    state: web::Data<State>,
) -> Result<web::Json<RoomLog>, ApiError> {
    let (after, limit) = (not_negative(query.after_seq)?, in_bounds(query.last.or(query.limit))?);
    let tail = query.last.is_some();
    let read = state.db.read(move |conn| {
        let head = rooms::head(conn, &id)?;
        if tail {
            rooms::tail(conn, &id, head, limit)
        } else {
            rooms::page(conn, &id, head, after, limit)
        }
    });
    read.await.map(web::Json)
}

/// How far the logs of rooms are.
pub async fn heads(body: Body<RoomList>, state: web::Data<State>) -> Result<web::Json<RoomHeads>, ApiError> {
    let videos = body.into_inner().videos;
    if videos.len() > MAX_ROOMS {
        return Err(ApiError::invalid("/videos", format!("at most {MAX_ROOMS}")));
    }
    let heads = state
        .db
        .read(move |conn| Ok::<_, ApiError>(rooms::heads(conn, &videos)?))
        .await?;
    Ok(web::Json(RoomHeads { heads }))
}
