//! `/media/{grant}/{videoId}/file`: the stored bytes, for players.

use crate::{
    media::{
        playable::playable,
        reply::{self, Wanted},
    },
    refusal,
    state::State,
};
use actix_web::{HttpRequest, HttpResponse, web};
use common::{
    error::{ApiError, Code, Problem},
    grant::Permission,
    ids::VideoId,
};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct FileQuery {
    download: Option<String>,
}

/// The original bytes of a video, whole or in ranges.
#[utoipa::path(
    get,
    path = "/media/{grant}/{videoId}/file",
    tag = "media",
    params(
        ("grant" = String, Path, description = "The playback grant, as api-service puts it into the address"),
        ("videoId" = String, Path, description = "12 characters of lower-case Crockford base32"),
        ("download" = Option<String>, Query, description = "`1` adds Content-Disposition: attachment"),
        ("Range" = Option<String>, Header, description = "One range, or two to five ascending disjoint ones"),
        ("If-Range" = Option<String>, Header, description = "The strong ETag, or the exact date"),
        ("If-None-Match" = Option<String>, Header, description = "ETags to be answered 304"),
    ),
    responses(
        (status = 200, description = "The whole file", content_type = "video/mp4"),
        (status = 206, description = "The ranges asked for", content_type = "video/mp4"),
        (status = 304, description = "The client has it"),
        (status = 401, description = "A broken or expired grant", body = Problem),
        (status = 404, description = "No such video, or it is in the trash", body = Problem),
        (status = 412, description = "A precondition failed", body = Problem),
        (status = 416, description = "The range lies outside of the file", body = Problem),
        (status = 429, description = "Too many requests or streams; see Retry-After", body = Problem),
    ),
)]
pub async fn file(
    request: HttpRequest,
    path: web::Path<(String, VideoId)>,
    query: web::Query<FileQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (grant, video) = path.into_inner();
    let (grant, client) = state.identify(&request, Some(&grant));
    refusal::take_token(&state, client)?;
    let grant = grant?;
    if grant.permission != Permission::Play {
        return Err(ApiError::new(
            Code::Unauthenticated,
            "This grant does not allow playing.",
        ));
    }
    if grant.video != video {
        return Err(ApiError::not_found("video"));
    }
    let Some(source) = playable(&state, &video, grant.version).await? else {
        return Err(ApiError::not_found("video"));
    };
    let download = query.download.as_deref().is_some_and(|value| value != "0");
    reply::reply(
        &state,
        Wanted {
            request: &request,
            client,
            video: &video,
            grant: grant.version,
            source: &source,
            download,
        },
    )
    .await
}
