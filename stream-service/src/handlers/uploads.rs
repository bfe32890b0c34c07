//! `/uploads/by-video/{videoId}`: a whole video in one request.

use super::refusals::{NeedsGrant, Whole};
use crate::{
    ledger::Uploader,
    refusal,
    state::State,
    tus::draft::says_incomplete,
    upload::{self, Admitted, Body, Stored, check_room, source::Raw, too_large},
};
use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use common::{
    error::{ApiError, Code, Problem},
    grant::{Grant, Permission},
    http::bearer,
    ids::{Id, VideoId},
    messages::SessionList,
};
use std::{fmt::Display, time::Duration};

/// What a form may add to the bytes of its file: boundaries, heads of parts, small fields.
const FORM_OVERHEAD: u64 = 128 << 10;

/// How long api-service may take to say whether the session of a grant is still good.
const SESSION_CHECK: Duration = Duration::from_secs(2);

/// When to try again what api-service did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Send a whole video as the body.
#[utoipa::path(
    put,
    path = "/uploads/by-video/{videoId}",
    tag = "uploads",
    params(("videoId" = String, Path, description = "12 characters of lower-case Crockford base32")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    responses(
        (status = 201, description = "The video is stored durably", body = Stored),
        NeedsGrant,
        Whole,
    ),
    security(("uploadGrant" = [])),
)]
pub async fn put(
    request: HttpRequest,
    video: web::Path<VideoId>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    if says_incomplete(request.headers()) {
        return Err(ApiError::new(
            Code::BadRequest,
            "This address takes a whole file; an upload in parts begins at /uploads.",
        ));
    }
    let mut admitted = admit(&state, &request, video.into_inner(), 0).await?;
    admitted.length = declared_length(&request);
    let stored = upload::run(&state, admitted, Body::Raw(Raw::of(&request, payload))).await?;
    Ok(HttpResponse::Created().json(stored))
}

/// Send a whole video as the field `file` of a form.
#[utoipa::path(
    post,
    path = "/uploads/by-video/{videoId}",
    tag = "uploads",
    params(("videoId" = String, Path, description = "12 characters of lower-case Crockford base32")),
    request_body(content = Vec<u8>, content_type = "multipart/form-data", description = "A form with the field `file`"),
    responses(
        (status = 201, description = "The video is stored durably", body = Stored),
        (status = 400, description = "The form can't be read or has no field `file`", body = Problem),
        NeedsGrant,
        Whole,
    ),
    security(("uploadGrant" = [])),
)]
pub async fn form(
    request: HttpRequest,
    video: web::Path<VideoId>,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let admitted = admit(&state, &request, video.into_inner(), FORM_OVERHEAD).await?;
    let form = Multipart::new(request.headers(), payload);
    let stored = upload::run(&state, admitted, Body::Form(form)).await?;
    Ok(HttpResponse::Created().json(stored))
}

/// Everything that can be said before the first byte of the body is read.
async fn admit(state: &State, request: &HttpRequest, video: VideoId, overhead: u64) -> Result<Admitted, ApiError> {
    let (grant, client) = state.identify(&request.head().into(), bearer(request.headers()));
    refusal::take_token(state, client)?;
    let Granted {
        video: granted,
        by,
        max_bytes,
    } = Granted::new(state, grant?)?;
    if granted != video {
        return Err(ApiError::not_found("video"));
    }
    let declared = declared_length(request).unwrap_or(0);
    if declared > max_bytes.saturating_add(overhead) {
        return Err(too_large(max_bytes));
    }
    let permit = refusal::upload(state, client, &video)?;
    check_session(state, &by.session).await?;
    check_room(state, declared).await?;
    Ok(Admitted {
        video,
        by,
        max_bytes,
        length: None,
        permit,
    })
}

/// What a grant allows, in the limits of this service.
pub struct Granted {
    pub video: VideoId,
    pub by: Uploader,
    pub max_bytes: u64,
}

impl Granted {
    pub fn new(state: &State, grant: Grant) -> Result<Self, ApiError> {
        let Permission::Upload { max_bytes, session } = grant.permission else {
            return Err(ApiError::new(
                Code::Unauthenticated,
                "This grant does not allow an upload.",
            ));
        };
        Ok(Self {
            video: grant.video,
            by: Uploader {
                user: grant.user,
                session,
            },
            max_bytes: max_bytes.min(state.max_upload),
        })
    }
}

fn declared_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A grant outlives the sign-out of the session that got it; the upload does not. When api-service can't be asked, the answer
/// is no (promise 13). It is asked again while the upload runs, which goes on without an answer: it was granted.
pub async fn check_session(state: &State, session: &Id) -> Result<(), ApiError> {
    let asked = SessionList {
        sessions: vec![session.clone()],
    };
    match tokio::time::timeout(SESSION_CHECK, state.platform.clients.api.check_sessions(asked)).await {
        Ok(Ok(good)) if good.sessions.contains(session) => Ok(()),
        Ok(Ok(_)) => Err(ApiError::new(
            Code::Unauthenticated,
            "The session that got this grant has ended.",
        )),
        // Also a refusal: the question is ours, not the client's.
        Ok(Err(error)) => Err(unanswered(&error)),
        Err(_) => Err(unanswered(&format_args!("no answer within {SESSION_CHECK:?}"))),
    }
}

fn unanswered(why: &dyn Display) -> ApiError {
    ApiError::new(
        Code::UpstreamUnavailable,
        "Whether the session that got this grant goes on can't be said just now.",
    )
    .retry_after(ASK_AGAIN)
    .because(why)
}
