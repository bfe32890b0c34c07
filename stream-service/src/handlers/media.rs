//! `/media/{grant}/{videoId}/file`: the stored bytes, for players.

use crate::{
    media::{
        playable::playable,
        reply::{self, Wanted},
    },
    refusal,
    state::State,
};
use actix_http::Request;
use actix_web::{
    HttpRequest, HttpResponse,
    dev::RequestHead,
    http::{Method, Uri},
    web,
};
use common::{
    error::{ApiError, Code, Problem},
    grant::Permission,
    ids::VideoId,
    serve::{Connection, DirectHandler},
    slot::SlotHandle,
};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use std::sync::Arc;

/// The connection that a request came by; tests without a server have none.
struct Via<'a> {
    connection: Option<&'a Connection>,
    slot: Option<&'a SlotHandle>,
}

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
    let asked = Asked {
        head: request.head(),
        connection: Via {
            connection: request.conn_data(),
            slot: request.conn_data(),
        },
        grant: &grant,
        video: &video,
        download: query.download.as_deref().is_some_and(|value| value != "0"),
    };
    serve(&state, asked).await
}

/// The same address in front of the App, in the spelling that api-service gives out; every other spelling of it is the App's.
pub struct DirectFile(pub Arc<State>);

impl DirectHandler for DirectFile {
    fn wants(&self, head: &RequestHead) -> bool {
        matches!(head.method, Method::GET | Method::HEAD) && spelled(&head.uri).is_some()
    }

    fn answer(&self, request: Request) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>> {
        let state = self.0.clone();
        Box::pin(async move {
            let head = request.head();
            let (grant, video, download) = spelled(&head.uri).ok_or_else(|| ApiError::not_found("video"))?;
            let connection = Via {
                connection: request.conn_data(),
                slot: request.conn_data(),
            };
            let asked = Asked {
                head,
                connection,
                grant,
                video: &video,
                download,
            };
            serve(&state, asked).await
        })
    }
}

/// Grant, video and `download` of `/media/{grant}/{videoId}/file`, when nothing in it needs decoding.
fn spelled(uri: &Uri) -> Option<(&str, VideoId, bool)> {
    let download = match uri.query() {
        None => false,
        Some("download=1") => true,
        Some(_) => return None,
    };
    let (grant, rest) = uri.path().strip_prefix("/media/")?.split_once('/')?;
    let video = rest.strip_suffix("/file")?.parse().ok()?;
    (!grant.is_empty() && !grant.contains('%')).then_some((grant, video, download))
}

/// A request for a file, wherever it was taken.
struct Asked<'a> {
    head: &'a RequestHead,
    connection: Via<'a>,
    grant: &'a str,
    video: &'a VideoId,
    download: bool,
}

/// Authorisation and limits, then the file.
async fn serve(state: &State, asked: Asked<'_>) -> Result<HttpResponse, ApiError> {
    let Asked {
        head,
        connection,
        grant,
        video,
        download,
    } = asked;
    // A player that has said all it wants to say gets its bytes.
    if let Some(connection) = connection.connection {
        connection.outlast_half_close();
    }
    let (grant, client) = state.identify(head, Some(grant));
    let told = refusal::take_token(state, client)?;
    let grant = grant?;
    if grant.permission != Permission::Play {
        return Err(ApiError::new(
            Code::Unauthenticated,
            "This grant does not allow playing.",
        ));
    }
    if grant.video != *video {
        return Err(ApiError::not_found("video"));
    }
    let Some(known) = playable(state, video, grant.version).await? else {
        return Err(ApiError::not_found("video"));
    };
    let wanted = Wanted {
        head,
        slot: connection.slot,
        client,
        told,
        video,
        grant: grant.version,
        known: &known,
        download,
    };
    reply::reply(state, wanted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &'static str, expected: Option<(&str, bool)>) {
        let uri = Uri::from_static(path);
        let found = spelled(&uri).map(|(grant, _, download)| (grant, download));
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
