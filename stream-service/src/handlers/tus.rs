//! `/uploads` and `/uploads/{id}`: tus 1.0.0. Everything is done by [`crate::tus`]; what stands here is the reference of it.

use crate::{state::State, tus::serve};
use actix_web::{HttpRequest, HttpResponse, web};
use common::error::{ApiError, Problem};

/// What of the protocol is built.
#[utoipa::path(
    options,
    path = "/uploads",
    tag = "uploads",
    responses((status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size`, `Tus-Checksum-Algorithm`")),
)]
pub async fn options(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, None, body).await
}

/// Begin an upload that can be continued; the grant says for which video.
#[utoipa::path(
    post,
    path = "/uploads",
    tag = "uploads",
    params(
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Length" = Option<u64>, Header, description = "Bytes of the file"),
        ("Upload-Defer-Length" = Option<u64>, Header, description = "1: the length comes with a later PATCH"),
        ("Upload-Metadata" = Option<String>, Header, description = "Kept and told by HEAD; nothing in it is used"),
        ("Upload-Concat" = Option<String>, Header, description = "`partial`, or `final;` and the addresses of the parts"),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256` and the digest of the body in base64"),
    ),
    request_body(content = Option<Vec<u8>>, content_type = "application/offset+octet-stream", description = "The first bytes, if any"),
    responses(
        (status = 201, description = "`Location` is its address; with bytes, `Upload-Offset` says how many are durable"),
        (status = 400, description = "A header can't be read", body = Problem),
        (status = 401, description = "No grant, a broken or expired one, or its session has ended", body = Problem),
        (status = 409, description = "The video has its file already, or a part is not all here", body = Problem),
        (status = 410, description = "The video has been deleted for good, or a part has ended", body = Problem),
        (status = 411, description = "Neither `Upload-Length` nor `Upload-Defer-Length`", body = Problem),
        (status = 412, description = "`Tus-Resumable` is not 1.0.0", body = Problem),
        (status = 413, description = "Larger than `maxBytes`", body = Problem),
        (status = 415, description = "Bytes of another type, or not a video that can be played", body = Problem),
        (status = 429, description = "Too many requests, uploads, or unfinished uploads of the video", body = Problem),
        (status = 460, description = "The checksum differs", body = Problem),
        (status = 503, description = "The session can't be checked just now; see Retry-After", body = Problem),
        (status = 507, description = "The storage is full", body = Problem),
    ),
    security(("uploadGrant" = [])),
)]
pub async fn create(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, None, body).await
}

/// Where an upload is. A request that still sends bytes for it ends, so that the offset stays true.
#[utoipa::path(
    head,
    path = "/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "From `Location`"),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
    ),
    responses(
        (status = 200, description = "`Upload-Offset`, `Upload-Length` or `Upload-Defer-Length`, `Upload-Expires`, and what it was made with"),
        (status = 401, description = "No grant, a broken or expired one, or its session has ended"),
        (status = 404, description = "There is none, or it is another video's"),
        (status = 410, description = "It has expired, was ended or refused, or its video is deleted"),
        (status = 412, description = "`Tus-Resumable` is not 1.0.0"),
        (status = 415, description = "It is whole, and not a video that can be played"),
    ),
    security(("uploadGrant" = [])),
)]
pub async fn head(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, Some(&id), body).await
}

/// Send bytes; the last ones make the video.
#[utoipa::path(
    patch,
    path = "/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "From `Location`"),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Offset" = u64, Header, description = "Where the bytes go: what HEAD said"),
        ("Upload-Length" = Option<u64>, Header, description = "The length that was put off"),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256` and the digest of the body in base64"),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream", description = "The bytes"),
    responses(
        (status = 204, description = "`Upload-Offset`: that many bytes are durable. All of them: the video is stored"),
        (status = 400, description = "A header can't be read, or the body ended early; what came is kept", body = Problem),
        (status = 401, description = "No grant, a broken or expired one, or its session has ended", body = Problem),
        (status = 403, description = "A final upload takes no bytes", body = Problem),
        (status = 404, description = "There is none, or it is another video's", body = Problem),
        (status = 408, description = "No byte arrived for a while; what came is kept", body = Problem),
        (status = 409, description = "Another offset (`Upload-Offset` is the true one), a newer request took over, or the video has its file", body = Problem),
        (status = 410, description = "It has expired, was ended or refused, or its video is deleted", body = Problem),
        (status = 412, description = "`Tus-Resumable` is not 1.0.0", body = Problem),
        (status = 413, description = "Beyond the length of the upload or `maxBytes`", body = Problem),
        (status = 415, description = "Bytes of another type, or not a video that can be played", body = Problem),
        (status = 429, description = "Too many requests or uploads; see Retry-After", body = Problem),
        (status = 460, description = "The checksum differs; none of the bytes is kept", body = Problem),
        (status = 503, description = "The session can't be checked, or the service stops; see Retry-After", body = Problem),
        (status = 507, description = "The storage is full", body = Problem),
    ),
    security(("uploadGrant" = [])),
)]
pub async fn patch(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, Some(&id), body).await
}

/// End an upload that is not finished, and remove what came.
#[utoipa::path(
    delete,
    path = "/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "From `Location`"),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
    ),
    responses(
        (status = 204, description = "Nothing of it is left"),
        (status = 401, description = "No grant, a broken or expired one, or its session has ended", body = Problem),
        (status = 404, description = "There is none, or it is another video's", body = Problem),
        (status = 409, description = "It has become a video", body = Problem),
        (status = 410, description = "It has ended already", body = Problem),
        (status = 412, description = "`Tus-Resumable` is not 1.0.0", body = Problem),
    ),
    security(("uploadGrant" = [])),
)]
pub async fn delete(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, Some(&id), body).await
}

/// OPTIONS, POST of clients that can't send the method they mean and say it in `X-HTTP-Method-Override`, and what is refused.
pub async fn other(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    serve(&state, &request, Some(&id), body).await
}
