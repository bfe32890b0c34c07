//! `/media/{grant}/{videoId}/file`: the stored bytes, for players.

use crate::{
    media::{
        playable::playable,
        reply::{self, Wanted},
    },
    refusal,
    state::State,
};
use actix_web::{HttpRequest, HttpResponse, http::Method, web};
use common::{
    error::{ApiError, Code, Problem},
    grant::{Grant, Permission},
    ids::VideoId,
    plain::{Answer, PlainHandler, PlainRequest},
    serve::Connection,
    slot::SlotHandle,
};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use std::sync::Arc;

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
        (status = 429, description = "Too many requests or streams, or the budget of the day is used up; see Retry-After", body = Problem),
        (status = 503, description = "The store of the videos is away; see Retry-After", body = Problem),
    ),
)]
pub async fn file(
    request: HttpRequest,
    path: web::Path<(String, VideoId)>,
    query: web::Query<FileQuery>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let (grant, video) = path.into_inner();
    // A player that has said all it wants to say gets its bytes.
    if let Some(connection) = request.conn_data::<Connection>() {
        connection.outlast_half_close();
    }
    let slot = request.conn_data::<SlotHandle>();
    let asked = Asked {
        request: &request.head().into(),
        moves: slot.is_some(),
        grant: &grant,
        video: &video,
        download: query.download.as_deref().is_some_and(|value| value != "0"),
    };
    Ok(serve(&state, asked).await?.into_response(slot))
}

/// The same address in front of the App, in the spelling that api-service gives out; every other spelling of it is the App's.
pub struct PlainFile(pub Arc<State>);

impl PlainHandler for PlainFile {
    fn wants(&self, request: &PlainRequest<'_>) -> bool {
        matches!(*request.method, Method::GET | Method::HEAD) && spelled(request).is_some()
    }

    /// A player that has said all it wants to say gets its bytes.
    fn outlasts_half_close(&self, _: &PlainRequest<'_>) -> bool {
        true
    }

    fn answer<'a>(&'a self, request: PlainRequest<'a>, moves: bool) -> LocalBoxFuture<'a, Result<Answer, ApiError>> {
        Box::pin(async move {
            let (grant, video, download) = spelled(&request).ok_or_else(|| ApiError::not_found("video"))?;
            let asked = Asked {
                request: &request,
                moves,
                grant,
                video: &video,
                download,
            };
            serve(&self.0, asked).await
        })
    }
}

/// Grant, video and `download` of `/media/{grant}/{videoId}/file`, when nothing in it needs decoding.
fn spelled<'a>(request: &PlainRequest<'a>) -> Option<(&'a str, VideoId, bool)> {
    let download = match request.query {
        None => false,
        Some("download=1") => true,
        Some(_) => return None,
    };
    let rest = request.path.strip_prefix("/media/")?.strip_suffix("/file")?;
    let (grant, video) = rest.split_at_checked(rest.len().checked_sub(VideoId::LENGTH)?)?;
    let (grant, video) = (grant.strip_suffix('/')?, video.parse().ok()?);
    let plain = !grant.is_empty() && memchr::memchr2(b'/', b'%', grant.as_bytes()).is_none();
    plain.then_some((grant, video, download))
}

/// A request for a file, wherever it was taken.
struct Asked<'a> {
    request: &'a PlainRequest<'a>,
    /// Bytes can go past the framework.
    moves: bool,
    grant: &'a str,
    video: &'a VideoId,
    download: bool,
}

/// Authorisation and limits, then the file.
async fn serve(state: &State, asked: Asked<'_>) -> Result<Answer, ApiError> {
    let video = asked.video;
    let (grant, client) = state.identify(asked.request, Some(asked.grant));
    let told = refusal::take_token(state, client)?;
    let version = allows(&grant?, video)?;
    let Some(known) = playable(state, video, version).await? else {
        return Err(ApiError::not_found("video"));
    };
    let mut wanted = Wanted {
        request: asked.request,
        moves: asked.moves,
        client,
        told,
        video,
        grant: version,
        known: &known,
        download: asked.download,
    };
    reply::reply(state, &mut wanted).await
}

/// The version of a grant that allows playing this video.
fn allows(grant: &Grant, video: &VideoId) -> Result<i64, ApiError> {
    if grant.permission != Permission::Play {
        return Err(ApiError::new(
            Code::Unauthenticated,
            "This grant does not allow playing.",
        ));
    }
    if grant.video != *video {
        return Err(ApiError::not_found("video"));
    }
    Ok(grant.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::{Version, header::HeaderMap};
    use common::plain::Fields;

    fn check(path: &'static str, expected: Option<(&str, bool)>) {
        let headers = HeaderMap::new();
        let request = PlainRequest {
            method: &Method::GET,
            path: path.split('?').next().unwrap(),
            query: path.split_once('?').map(|(_, query)| query),
            fields: Fields::Map(&headers),
            peer: None,
            version: Version::HTTP_11,
        };
        let found = spelled(&request).map(|(grant, _, download)| (grant, download));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn only_the_plain_spelling_goes_past_the_app() {
        check("/media/a.b.c/0123456789ab/file", Some(("a.b.c", false)));
        check("/media/a.b.c/0123456789ab/file?download=1", Some(("a.b.c", true)));
        check("/media/a.b.c/0123456789ab/file?download=0", None);
        check("/media/a.b.c/0123456789ab/file?x", None);
        check("/media/a%2Eb.c/0123456789ab/file", None);
        check("/%6dedia/a.b.c/0123456789ab/file", None);
        check("/media//0123456789ab/file", None);
        check("/media/a.b.c/x/0123456789ab/file", None);
        check("/media/a.b.c/0123456789abc/file", None);
        check("/media/a.b.c/0123456789ab/file/", None);
    }
}
