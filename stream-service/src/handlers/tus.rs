//! `/uploads` and `/uploads/{id}`: tus 1.0.0 and the IETF's Resumable Uploads for HTTP. Everything is done by [`crate::tus`]; what
//! stands here is the reference of it.

use super::refusals::{Bytes, Named, NeedsGrant, Resumable};
use crate::{state::State, tus::serve, upload::Stored};
use actix_web::{HttpRequest, HttpResponse, web};
use common::error::{ApiError, Problem};

/// What of the protocols is built.
#[utoipa::path(
    options,
    path = "/uploads",
    tag = "uploads",
    responses((
        status = 204,
        description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size`, `Tus-Checksum-Algorithm`; `Accept-Patch` and `Upload-Limit` of the draft"
    )),
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
        ("Tus-Resumable" = Option<String>, Header, description = "1.0.0, or"),
        ("Upload-Draft-Interop-Version" = Option<u64>, Header, description = "8; what is said of the draft goes with this"),
        ("Upload-Complete" = Option<String>, Header, description = "Draft: `?1` when the body is the whole file, `?0` when more comes"),
        ("Upload-Length" = Option<u64>, Header, description = "Bytes of the file; in the draft it may stay unknown"),
        ("Upload-Defer-Length" = Option<u64>, Header, description = "1: the length comes with a later PATCH"),
        ("Upload-Metadata" = Option<String>, Header, description = "Kept and told by HEAD; nothing in it is used"),
        ("Upload-Concat" = Option<String>, Header, description = "`partial`, or `final;` and the addresses of the parts"),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256` and the digest of the body in base64"),
        ("Content-Digest" = Option<String>, Header, description = "Draft: `sha-256` of the body (RFC 9530)"),
    ),
    request_body(content = Option<Vec<u8>>, content_type = "application/offset+octet-stream", description = "The first bytes, if any; in the draft of any type"),
    responses(
        (status = 201, description = "`Location` is its address; with bytes, `Upload-Offset` says how many are durable. In the draft, after all of them, the body says what is stored", body = Option<Stored>),
        NeedsGrant,
        Resumable,
        Bytes,
        (status = 409, description = "The video has its file already, or a part is not all here", body = Problem),
        (status = 410, description = "The video has been deleted for good, or a part has ended", body = Problem),
        (status = 411, description = "Neither `Upload-Length` nor `Upload-Defer-Length`", body = Problem),
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
        ("Tus-Resumable" = Option<String>, Header, description = "1.0.0, or"),
        ("Upload-Draft-Interop-Version" = Option<u64>, Header, description = "8"),
    ),
    responses(
        (status = 200, description = "`Upload-Offset`, `Upload-Length` or `Upload-Defer-Length`, `Upload-Expires`, and what it was made with"),
        (status = 204, description = "Draft: `Upload-Offset`, `Upload-Complete`, `Upload-Limit`, and `Upload-Length` if it is known"),
        NeedsGrant,
        Resumable,
        Named,
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
        ("Tus-Resumable" = Option<String>, Header, description = "1.0.0, or"),
        ("Upload-Draft-Interop-Version" = Option<u64>, Header, description = "8"),
        ("Upload-Offset" = u64, Header, description = "Where the bytes go: what HEAD said"),
        ("Upload-Complete" = Option<String>, Header, description = "Draft: `?1` when these are the last bytes, else `?0`"),
        ("Upload-Length" = Option<u64>, Header, description = "The length that was put off"),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256` and the digest of the body in base64"),
        ("Content-Digest" = Option<String>, Header, description = "Draft: `sha-256` of the body (RFC 9530)"),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream", description = "The bytes; in the draft as `application/partial-upload`"),
    responses(
        (status = 200, description = "Draft, after the last byte: what is stored", body = Stored),
        (status = 204, description = "`Upload-Offset`: that many bytes are durable. In tus, all of them: the video is stored"),
        NeedsGrant,
        Resumable,
        Named,
        Bytes,
        (status = 400, description = "A header can't be read, or the body ended early; what came is kept. In the draft also contradicting lengths, and bytes for what is complete", body = Problem),
        (status = 403, description = "A final upload takes no bytes", body = Problem),
        (status = 409, description = "Another offset (`Upload-Offset` is the true one), a newer request took over, or the video has its file", body = Problem),
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
        ("Tus-Resumable" = Option<String>, Header, description = "1.0.0, or"),
        ("Upload-Draft-Interop-Version" = Option<u64>, Header, description = "8"),
    ),
    responses(
        (status = 204, description = "Nothing of it is left"),
        NeedsGrant,
        Resumable,
        Named,
        (status = 409, description = "It has become a video", body = Problem),
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
