//! Deleting a video, bringing it back, and the receipt.

use actix_web::{HttpResponse, web};
use common::error::ApiError;
use common::ids::VideoId;
use serde::Deserialize;

use crate::auth::SignedIn;
use crate::ops::trash::{self, Keep};
use crate::ops::videos;
use crate::state::State;
use common::views::{Deletion, VideoAnswer};

#[derive(Debug, Deserialize)]
pub struct DeleteQuery {
    #[serde(default)]
    permanent: bool,
}

/// Moves a video of the caller to the trash; `permanent=true` has it purged now.
#[utoipa::path(delete, path = "/api/v1/videos/{id}", tag = "videos",
    params(("id" = String, Path), ("permanent" = Option<bool>, Query)),
    responses((status = 202, body = VideoAnswer)))]
pub async fn delete(
    me: SignedIn,
    id: web::Path<VideoId>,
    query: web::Query<DeleteQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let keep = if query.permanent {
        Keep::No
    } else {
        Keep::For(state.settings.trash_retention)
    };
    let owner = me.user.clone();
    let (found, _) = state
        .change(move |conn, news| trash::trash(conn, news, &id, &owner, keep))
        .await?;
    let video = videos::view(found)?;
    Ok(HttpResponse::Accepted().json(VideoAnswer { video }))
}

/// Brings a video of the caller back from the trash.
#[utoipa::path(post, path = "/api/v1/videos/{id}/restore", tag = "videos", params(("id" = String, Path)),
    responses((status = 200, body = VideoAnswer)))]
pub async fn restore(
    me: SignedIn,
    id: web::Path<VideoId>,
    state: web::Data<State>,
) -> Result<web::Json<VideoAnswer>, ApiError> {
    let owner = me.user.clone();
    let found = state
        .change(move |conn, news| trash::restore(conn, news, &id, &owner))
        .await?;
    let video = videos::view(found)?;
    Ok(web::Json(VideoAnswer { video }))
}

/// How far the deletion of a video of the caller is, also after the video is gone.
#[utoipa::path(get, path = "/api/v1/videos/{id}/deletion", tag = "videos", params(("id" = String, Path)),
    responses((status = 200, body = Deletion)))]
pub async fn deletion(
    me: SignedIn,
    id: web::Path<VideoId>,
    state: web::Data<State>,
) -> Result<web::Json<Deletion>, ApiError> {
    let owner = me.user.clone();
    let deletion = state.db.read(move |conn| trash::deletion(conn, &id, &owner)).await?;
    Ok(web::Json(deletion))
}
