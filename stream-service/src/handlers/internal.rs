//! What the other services ask of the stored media. Every call may be repeated.

use crate::{
    deliver::MEDIA_READY,
    ledger,
    ops::{purge, reconcile, scrub, uploads},
    state::State,
    watch,
};
use actix_web::{HttpResponse, web};
use common::{
    bus::Subject,
    db::DbError,
    error::ApiError,
    http::{Body, SOON, serve_each},
    ids::VideoId,
    messages::batch::{Calls, Done, Outcomes},
    messages::{
        MediaChanged, MediaDeletion, MediaRecord, MediaVisibility, Receipt, RecordPage, Scrub, ScrubReport,
        StoreReport, Sweep, Swept, Visibility,
    },
    outbox::{self, Message},
};
use serde::Deserialize;
use std::time::Duration;

/// Records of one page at most.
const MAX_PAGE: u32 = 1000;

#[derive(Deserialize)]
pub struct PageQuery {
    after: Option<VideoId>,
    limit: Option<u32>,
}

/// `DELETE /internal/media/{id}`: removes every object, for good.
pub async fn delete(video: web::Path<VideoId>, state: web::Data<State>) -> Result<web::Json<Receipt>, ApiError> {
    Ok(web::Json(purge::purge(&state, &video).await?))
}

/// What one of many deletions gets. Whoever wrote or read was told to stop by then, and what the store does for it goes on.
const ONE_OF_MANY: Duration = Duration::from_secs(3);

/// `POST /internal/deletions`: [`delete`] of many videos.
pub async fn delete_many(
    calls: Body<Calls<MediaDeletion>>,
    state: web::Data<State>,
) -> Result<web::Json<Outcomes<Receipt>>, ApiError> {
    let delete = async |MediaDeletion { video }| purge::purge(&state, &video).await;
    serve_each(calls, ONE_OF_MANY, delete).await
}

/// `PUT /internal/media/{id}/hidden`: the trash. Older versions change nothing.
pub async fn set_hidden(
    video: web::Path<VideoId>,
    visibility: Body<Visibility>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    set_visibility(&state, video.into_inner(), visibility.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /internal/visibilities`: [`set_hidden`] of many videos.
pub async fn set_hidden_many(
    calls: Body<Calls<MediaVisibility>>,
    state: web::Data<State>,
) -> Result<web::Json<Outcomes<Done>>, ApiError> {
    let set =
        async |MediaVisibility { video, visibility }| set_visibility(&state, video, visibility).await.map(|()| Done {});
    serve_each(calls, SOON, set).await
}

async fn set_visibility(state: &State, video: VideoId, visibility: Visibility) -> Result<(), ApiError> {
    let changed = video.clone();
    state
        .db
        .write(move |conn| Ok::<_, DbError>(ledger::set_visibility(conn, &changed, visibility)?))
        .await?;
    // Also when nothing changed: whoever repeats the call wants to be sure.
    state.entries.evict(&video);
    // Told first: it is committed, whatever becomes of this call.
    let told = MediaChanged { video: video.clone() };
    state.platform.bus.publish(&Subject::MediaChanged, &told);
    if state.streams.runs(&video) {
        watch::end_barred(state, std::slice::from_ref(&video)).await?;
    }
    Ok(())
}

/// `GET /internal/media?after=&limit=`: the ledger, by video.
pub async fn page(
    query: web::Query<PageQuery>,
    state: web::Data<State>,
) -> Result<web::Json<RecordPage<MediaRecord>>, ApiError> {
    let PageQuery { after, limit } = query.into_inner();
    let limit = limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::page(conn, after.as_ref(), limit)?))
        .await?;
    Ok(web::Json(page))
}

/// `POST /internal/media/{id}/announce`: has `media-ready` delivered once more.
pub async fn announce(video: web::Path<VideoId>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let wanted = video.clone();
    let media = state
        .db
        .read(move |conn| Ok::<_, DbError>(ledger::announcement(conn, &wanted)?))
        .await?;
    let Some(media) = media else {
        return Err(ApiError::not_found("media"));
    };
    let message = Message::new(MEDIA_READY, &*video, &media);
    state
        .db
        .write(move |conn| Ok::<_, DbError>(outbox::enqueue(conn, &message)?))
        .await?;
    state.relay.wake();
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /internal/uploads/expire`: removes uploads that nobody continues.
pub async fn expire(sweep: Body<Sweep>, state: web::Data<State>) -> Result<web::Json<Swept>, ApiError> {
    let expired = uploads::expire(&state, sweep.dry_run, Duration::ZERO).await?;
    Ok(web::Json(Swept { count: expired.count }))
}

/// `POST /internal/reconcile`: the store against the ledger.
pub async fn reconcile(sweep: Body<Sweep>, state: web::Data<State>) -> Result<web::Json<StoreReport>, ApiError> {
    Ok(web::Json(reconcile::reconcile(&state, sweep.dry_run).await?))
}

/// `POST /internal/scrub`: some of what is stored against its hashes.
pub async fn scrub(wanted: Body<Scrub>, state: web::Data<State>) -> Result<web::Json<ScrubReport>, ApiError> {
    Ok(web::Json(scrub::scrub(&state, wanted.into_inner()).await?))
}
