//! Danmaku: comments that belong to a moment of the video.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use common::error::ApiError;
use common::http::{Body, Page};
use common::ids::{Id, VideoId};
use common::views::{Danmaku, DanmakuMode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::{MaybeSignedIn, SignedIn};
use crate::cursor::{self, Cursor};
use crate::input::{Paging, bad_cursor};
use crate::ops::danmaku::{self, NewDanmaku, Question};
use crate::rules::{self, Checks};
use crate::state::State;

/// Danmaku of a page when the client names no number, and the most it may name: a player loads some minutes at once.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;

/// The color of those that name none.
const WHITE: &str = "#ffffff";

/// The lists that cursors tell apart.
const BY_MOMENT: &str = "danmaku";
const BY_ID: &str = "danmaku-after";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DanmakuQuery {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    after_id: Option<Id>,
    // Not flattened: the query's numbers are texts, which a flattened struct does not take.
    cursor: Option<String>,
    limit: Option<u32>,
}

impl DanmakuQuery {
    fn question(&self) -> Result<Question, ApiError> {
        if let Some(after) = &self.after_id {
            if self.from_ms.is_some() || self.to_ms.is_some() {
                return Err(ApiError::invalid("/afterId", "goes without fromMs and toMs"));
            }
            let cursor = self.cursor.as_deref().map(|text| Cursor::<()>::decode(BY_ID, text));
            let after = cursor
                .transpose()?
                .map_or_else(|| after.to_string(), |cursor| cursor.id);
            return Ok(Question::After(after));
        }
        let cursor = self
            .cursor
            .as_deref()
            .map(|text| Cursor::<i64>::decode(BY_MOMENT, text));
        let from = self.from_ms.unwrap_or(0);
        let after = match cursor.transpose()?.map(|cursor| (cursor.key, cursor.id)) {
            Some((at, _)) if at < from => return Err(bad_cursor()),
            after => after,
        };
        Ok(Question::Moments {
            from,
            to: self.to_ms.unwrap_or(i64::MAX),
            after,
        })
    }
}

/// The danmaku of a video: those of a span of it by moment, or with `afterId` those written since, oldest first.
#[utoipa::path(get, path = "/api/v1/videos/{id}/danmaku", tag = "danmaku",
    params(("id" = String, Path), ("fromMs" = Option<i64>, Query, description = "From this moment on"),
        ("toMs" = Option<i64>, Query, description = "Before this moment"), ("afterId" = Option<String>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 500)),
    responses((status = 200, body = Page<Danmaku>)))]
pub async fn list(
    viewer: MaybeSignedIn,
    id: web::Path<VideoId>,
    query: web::Query<DanmakuQuery>,
    state: web::Data<State>,
) -> Result<web::Json<Page<Danmaku>>, ApiError> {
    let paging = Paging {
        cursor: None,
        limit: query.limit,
    };
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT)?;
    let question = query.question()?;
    let by_moment = matches!(question, Question::Moments { .. });
    let items = state
        .db
        .read(move |conn| danmaku::list(conn, &id, viewer.user(), question, limit + 1))
        .await?;
    let position = |last: &Danmaku| {
        if by_moment {
            Cursor::new(BY_MOMENT, last.at_ms, last.id.as_str()).encode()
        } else {
            Cursor::new(BY_ID, (), last.id.as_str()).encode()
        }
    };
    Ok(web::Json(cursor::page(items, limit, position)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DanmakuDraft {
    /// 1 to 100 characters of one line.
    text: String,
    /// The moment of the video, in milliseconds.
    at_ms: i64,
    #[serde(default)]
    mode: Option<DanmakuMode>,
    /// `#rrggbb`; white when not named.
    #[serde(default)]
    color: Option<String>,
}

/// Writes a danmaku on a video that is ready.
#[utoipa::path(post, path = "/api/v1/videos/{id}/danmaku", tag = "danmaku", params(("id" = String, Path)),
    request_body = DanmakuDraft, responses((status = 201, body = Danmaku)))]
pub async fn create(
    me: SignedIn,
    id: web::Path<VideoId>,
    body: Body<DanmakuDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut checks = Checks::default();
    let draft = NewDanmaku {
        id: Id::now(),
        text: checks.take("/text", rules::danmaku(&body.text)),
        at_ms: body.at_ms,
        mode: body.mode.unwrap_or_default(),
        color: checks.take("/color", rules::color(body.color.as_deref().unwrap_or(WHITE))),
    };
    checks.done()?;
    let allowance = state.posts.take(&me.user, Instant::now())?;
    let (author, most) = (me.user.clone(), state.settings.max_danmaku_per_video);
    let written = state
        .change(move |conn, news| danmaku::insert(conn, news, &id, &author, &draft, most))
        .await?;
    Ok(allowance.tell(HttpResponse::Created()).json(written))
}

/// Removes a danmaku; its author and the owner of the video may.
#[utoipa::path(delete, path = "/api/v1/danmaku/{id}", tag = "danmaku", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn remove(me: SignedIn, id: web::Path<Id>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let user = me.user.clone();
    state
        .change(move |conn, news| danmaku::remove(conn, news, &id, &user))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
