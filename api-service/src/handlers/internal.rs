//! What the other services ask and report. All of it is safe to repeat.

use actix_web::{HttpResponse, web};
use common::error::ApiError;
use common::http::{Body, SOON, serve_each};
use common::ids::VideoId;
use common::messages::batch::{Calls, Done, Outcomes};
use common::messages::{
    MediaFailed, MediaReady, PurgeBegin, PurgeDone, Receipt, RecordPage, SessionList, Sweep, Swept, TokenOwner,
    TokenQuery, VideoRecord,
};
use common::views::FinalReceipt;
use serde::Deserialize;
use serde_json::json;

use crate::auth::unauthenticated;
use crate::leaving;
use crate::ops::leaving as left;
use crate::ops::purge::{self, End};
use crate::ops::{accounts, lists, media, sessions};
use crate::state::State;

/// Sessions one question may name.
const MAX_SESSIONS: usize = 1_000;

/// Records of a page when the caller names no number, and the most it gets.
const RECORDS: u32 = 500;
const MAX_RECORDS: u32 = 1_000;

/// An upload that is under way when its grant ends gets this much longer, in milliseconds.
const UPLOAD_GRACE: i64 = 3_600_000;

pub async fn parse_token(body: Body<TokenQuery>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let session = state.sessions.find(&body.token).await?.ok_or_else(unauthenticated)?;
    Ok(HttpResponse::Ok().json(TokenOwner {
        user: session.user.clone(),
        session: session.id.clone(),
        username: session.username.clone(),
        role: session.role,
        expires_at: session.expires_at,
    }))
}

pub async fn check_sessions(
    body: Body<SessionList>,
    state: web::Data<State>,
) -> Result<web::Json<SessionList>, ApiError> {
    let asked = body.into_inner().sessions;
    if asked.len() > MAX_SESSIONS {
        return Err(ApiError::invalid("/sessions", format!("at most {MAX_SESSIONS}")));
    }
    let sessions = state
        .db
        .read(move |conn| Ok::<_, ApiError>(sessions::still_good(conn, &asked)?))
        .await?;
    Ok(web::Json(SessionList { sessions }))
}

pub async fn expire_sessions(body: Body<Sweep>, state: web::Data<State>) -> Result<web::Json<Swept>, ApiError> {
    let count = if body.dry_run {
        state
            .db
            .read(|conn| Ok::<_, ApiError>(u64::try_from(sessions::count_expired(conn)?).unwrap_or(0)))
            .await?
    } else {
        state
            .db
            .write(|conn| Ok::<_, ApiError>(sessions::remove_expired(conn)? as u64))
            .await?
    };
    Ok(web::Json(Swept { count }))
}

pub async fn media_ready(
    id: web::Path<VideoId>,
    body: Body<MediaReady>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let media = body.into_inner();
    state
        .change(move |conn, news| media::ready(conn, news, &id, &media))
        .await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

pub async fn media_failed(
    id: web::Path<VideoId>,
    body: Body<MediaFailed>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let failure = body.into_inner();
    state
        .change(move |conn, news| media::failed(conn, news, &id, &failure))
        .await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

pub async fn purge_begin(id: web::Path<VideoId>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    begin_purge(&state, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

async fn begin_purge(state: &State, id: VideoId) -> Result<(), ApiError> {
    state.change(move |conn, news| purge::begin(conn, news, &id)).await
}

#[derive(Deserialize)]
pub struct DoneBody {
    receipt: Receipt,
}

pub async fn purge_done(
    id: web::Path<VideoId>,
    body: Body<DoneBody>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let receipt = end_purge(&state, &id, body.receipt).await?;
    Ok(HttpResponse::Ok().json(json!({ "receipt": receipt })))
}

async fn end_purge(state: &State, id: &VideoId, removed: Receipt) -> Result<FinalReceipt, ApiError> {
    loop {
        let video = id.clone();
        let end = state.change(move |conn, news| purge::done(conn, news, &video, removed));
        match end.await? {
            End::Partly => {}
            End::Repeated(receipt) => return Ok(receipt),
            End::Done(receipt) => {
                log::info!(video_id = *id, objects = receipt.objects, bytes = receipt.bytes; "Purged video {id}");
                return Ok(receipt);
            }
        }
    }
}

/// `POST /internal/purges/begin`: of many videos.
pub async fn purges_begin(
    calls: Body<Calls<PurgeBegin>>,
    state: web::Data<State>,
) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    serve_each(calls, SOON, async |wanted: PurgeBegin| {
        begin_purge(&state, wanted.video).await.map(|()| Done {})
    })
    .await
}

/// `POST /internal/purges/done`: of many videos.
pub async fn purges_done(
    calls: Body<Calls<PurgeDone>>,
    state: web::Data<State>,
) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    let end = async |PurgeDone { video, receipt }| end_purge(&state, &video, receipt).await.map(|_| Done {});
    serve_each(calls, SOON, end).await
}

#[derive(Deserialize)]
pub struct RecordQuery {
    after: Option<VideoId>,
    limit: Option<u32>,
}

pub async fn videos(
    query: web::Query<RecordQuery>,
    state: web::Data<State>,
) -> Result<web::Json<RecordPage<VideoRecord>>, ApiError> {
    let limit = i64::from(query.limit.unwrap_or(RECORDS).clamp(1, MAX_RECORDS));
    let after = query.into_inner().after;
    let page = state
        .db
        .read(move |conn| lists::records(conn, after.as_ref(), limit))
        .await?;
    Ok(web::Json(page))
}

/// Ends what waited too long for its upload, and what a deleted account left behind.
pub async fn expire_videos(body: Body<Sweep>, state: web::Data<State>) -> Result<web::Json<Swept>, ApiError> {
    if body.dry_run {
        let count = state
            .db
            .read(|conn| {
                let overdue = media::count_overdue(conn, UPLOAD_GRACE)?;
                Ok::<_, ApiError>(overdue + accounts::count_left_behind(conn)? + left::count(conn)?)
            })
            .await?;
        return Ok(web::Json(Swept {
            count: u64::try_from(count).unwrap_or(0),
        }));
    }
    let mut count = leaving::sweep(&state).await?;
    loop {
        let ended = state
            .change(|conn, news| Ok(media::fail_overdue(conn, news, UPLOAD_GRACE)?))
            .await?;
        if ended == 0 {
            return Ok(web::Json(Swept { count }));
        }
        count += ended;
    }
}
