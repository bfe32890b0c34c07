//! Comments on videos.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use common::error::ApiError;
use common::http::{Body, Page};
use common::ids::{Id, VideoId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::{MaybeSignedIn, SignedIn};
use crate::cursor::{self, Cursor};
use crate::input::Paging;
use crate::ops::comments::{self, NewComment};
use crate::rules::{self, Checks};
use crate::state::State;
use common::views::Comment;

/// The comments of a video, newest first; answers carry `parentId`.
#[utoipa::path(get, path = "/api/v1/videos/{id}/comments", tag = "comments",
    params(("id" = String, Path), ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100)),
    responses((status = 200, body = Page<Comment>)))]
pub async fn list(
    viewer: MaybeSignedIn,
    id: web::Path<VideoId>,
    paging: web::Query<Paging>,
    state: web::Data<State>,
) -> Result<web::Json<Page<Comment>>, ApiError> {
    let limit = paging.limit()?;
    let cursor = paging
        .cursor
        .as_deref()
        .map(|text| Cursor::<()>::decode("comments", text));
    let before = cursor.transpose()?.map(|cursor| cursor.id);
    let items = state
        .db
        .read(move |conn| comments::list(conn, &id, viewer.user(), before.as_deref(), limit + 1))
        .await?;
    let position = |last: &Comment| Cursor::new("comments", (), last.id.as_str()).encode();
    Ok(web::Json(cursor::page(items, limit, position)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommentDraft {
    /// 1 to 2,000 characters.
    text: String,
    /// The comment this one answers.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    parent_id: Option<String>,
}

/// Comments on a video that is ready.
#[utoipa::path(post, path = "/api/v1/videos/{id}/comments", tag = "comments", params(("id" = String, Path)),
    request_body = CommentDraft, responses((status = 201, body = Comment)))]
pub async fn create(
    me: SignedIn,
    id: web::Path<VideoId>,
    body: Body<CommentDraft>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut checks = Checks::default();
    let text = checks.take("/text", rules::comment(&body.text));
    let parent = body.parent_id.as_deref().map(str::parse::<Id>).transpose();
    let parent = checks.take(
        "/parentId",
        parent.map_err(|_| "There is no such comment on this video.".to_owned()),
    );
    checks.done()?;
    let allowance = state.posts.take(&me.user, Instant::now())?;
    let comment = NewComment {
        id: Id::now(),
        text,
        parent,
    };
    let author = me.user.clone();
    let comment = state
        .change(move |conn, news| comments::insert(conn, news, &id, &author, &comment))
        .await?;
    Ok(allowance.tell(HttpResponse::Created()).json(comment))
}

/// Removes a comment; its author and the owner of the video may. Answers to it stay.
#[utoipa::path(delete, path = "/api/v1/comments/{id}", tag = "comments", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn remove(me: SignedIn, id: web::Path<Id>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let user = me.user.clone();
    state
        .change(move |conn, news| comments::remove(conn, news, &id, &user))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
