//! Videos: created, listed, shown, changed, played.

use std::time::Instant;

use actix_web::{HttpResponse, web};
use common::error::{ApiError, Code};
use common::http::{Body, Page};
use common::ids::VideoId;
use common::messages::VideoState;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::{MaybeSignedIn, SignedIn};
use crate::cursor::{self, Cursor};
use crate::input::{Paging, Patch, bad_cursor};
use crate::ops::lists::{self, Key, Order, Question};
use crate::ops::videos::{self, VideoChange};
use crate::rules::{self, Checks};
use crate::state::State;
use common::views::{NewUpload, NewVideo, Playback, Source, SourceKind, Video, Visibility};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoDraft {
    /// 1 to 200 characters.
    title: String,
    /// Up to 5,000 characters.
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    visibility: Option<Visibility>,
}

/// Creates a video that waits for its upload, with a ticket to send it.
#[utoipa::path(post, path = "/api/v1/videos", tag = "videos", request_body = VideoDraft,
    responses((status = 201, body = NewVideo)))]
pub async fn create(me: SignedIn, body: Body<VideoDraft>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let mut checks = Checks::default();
    let video = videos::NewVideo {
        title: checks.take("/title", rules::title(&body.title)),
        description: checks.take(
            "/description",
            rules::description(body.description.as_deref().unwrap_or_default()),
        ),
        visibility: body.visibility.unwrap_or_default(),
    };
    checks.done()?;
    let (owner, ttl) = (me.user.clone(), state.settings.upload_grant_ttl);
    let (found, until) = state
        .db
        .write(move |conn| videos::insert(conn, &owner, &video, ttl, &mut VideoId::random))
        .await?;
    let video = videos::view(found)?;
    let upload = state.upload(&video.id, &me, until);
    Ok(HttpResponse::Created().json(NewVideo { video, upload }))
}

/// A fresh ticket for a video that still waits for its upload.
#[utoipa::path(post, path = "/api/v1/videos/{id}/upload", tag = "videos", params(("id" = String, Path)),
    responses((status = 200, body = NewUpload)))]
pub async fn renew_upload(
    me: SignedIn,
    id: web::Path<VideoId>,
    state: web::Data<State>,
) -> Result<web::Json<NewUpload>, ApiError> {
    let (video, owner, ttl) = (id.clone(), me.user.clone(), state.settings.upload_grant_ttl);
    let until = state
        .db
        .write(move |conn| videos::renew_upload(conn, &video, &owner, ttl))
        .await?;
    let upload = state.upload(&id, &me, until);
    Ok(web::Json(NewUpload { upload }))
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// The newest first.
    #[default]
    New,
    Old,
    /// By title, without regard to case.
    Title,
}

impl Sort {
    const fn order(self) -> Order {
        match self {
            Sort::New => Order::New,
            Sort::Old => Order::Old,
            Sort::Title => Order::Title,
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Sort::New => "new",
            Sort::Old => "old",
            Sort::Title => "title",
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct ListQuery {
    q: Option<String>,
    author: Option<String>,
    #[serde(default)]
    sort: Sort,
    // Not flattened: the query's numbers are texts, which a flattened struct does not take.
    cursor: Option<String>,
    limit: Option<u32>,
}

fn question(query: ListQuery) -> Result<Question, ApiError> {
    let paging = Paging {
        cursor: query.cursor,
        limit: query.limit,
    };
    let limit = paging.limit()?;
    let mut checks = Checks::default();
    let text = checks.take("/q", rules::query(query.q.as_deref().unwrap_or_default()));
    checks.done()?;
    let cursor = paging
        .cursor
        .as_deref()
        .map(|text| Cursor::<Key>::decode(query.sort.list(), text));
    let after = match cursor.transpose()?.map(|cursor| (cursor.key, cursor.id)) {
        // PostgreSQL takes no NUL in a text.
        Some((Key::Title(title), _)) if title.contains('\0') => return Err(bad_cursor()),
        after => after,
    };
    Ok(Question {
        order: query.sort.order(),
        after,
        query: text.to_lowercase(),
        author: query.author,
        limit: limit + 1,
    })
}

/// Public videos that are ready.
#[utoipa::path(get, path = "/api/v1/videos", tag = "videos",
    params(("q" = Option<String>, Query, description = "A part of title or description, in any case"),
        ("author" = Option<String>, Query, description = "A username"), ("sort" = Option<Sort>, Query),
        ("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100)),
    responses((status = 200, body = Page<Video>)))]
pub async fn list(query: web::Query<ListQuery>, state: web::Data<State>) -> Result<web::Json<Page<Video>>, ApiError> {
    let query = query.into_inner();
    let sort = query.sort;
    let question = question(query)?;
    let limit = question.limit - 1;
    if question.author.as_deref().is_some_and(|name| !rules::is_username(name)) {
        return Ok(web::Json(Page {
            items: Vec::new(),
            next: None,
        }));
    }
    let found = state.db.read(move |conn| lists::public(conn, &question)).await?;
    let items = found
        .into_iter()
        .take(usize::try_from(limit + 1).unwrap_or(usize::MAX))
        .map(lists::public_view)
        .collect::<Result<_, _>>()?;
    let position = |last: &Video| {
        let key = match sort {
            Sort::New | Sort::Old => Key::Time(last.ready_at.map_or(0, |at| at.millis())),
            Sort::Title => Key::Title(last.title.to_lowercase()),
        };
        Cursor::new(sort.list(), key, last.id.as_str()).encode()
    };
    Ok(web::Json(cursor::page(items, limit, position)))
}

/// One video: ready and not private, or the caller's own.
#[utoipa::path(get, path = "/api/v1/videos/{id}", tag = "videos", params(("id" = String, Path)),
    responses((status = 200, body = Video)))]
pub async fn show(
    viewer: MaybeSignedIn,
    id: web::Path<VideoId>,
    state: web::Data<State>,
) -> Result<web::Json<Video>, ApiError> {
    let found = state
        .db
        .read(move |conn| videos::visible(conn, &id, viewer.user()))
        .await?;
    videos::view(found).map(web::Json)
}

/// Members that are not there stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoPatch {
    /// 1 to 200 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    title: Patch<String>,
    /// Up to 5,000 characters; `null` takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Visibility>)]
    visibility: Patch<Visibility>,
}

impl VideoPatch {
    fn checked(self) -> Result<VideoChange, ApiError> {
        let mut checks = Checks::default();
        let title = checks.take("/title", self.title.required());
        let description = self.description.or_default(String::new());
        let change = VideoChange {
            title: title.map(|text| checks.take("/title", rules::title(&text))),
            description: description.map(|text| checks.take("/description", rules::description(&text))),
            visibility: checks.take("/visibility", self.visibility.required()),
        };
        checks.done()?;
        Ok(change)
    }
}

/// Changes a video of the caller. When it becomes private, the playback addresses of before stop to work.
#[utoipa::path(patch, path = "/api/v1/videos/{id}", tag = "videos", params(("id" = String, Path)),
    request_body = VideoPatch, responses((status = 200, body = Video)))]
pub async fn change(
    me: SignedIn,
    id: web::Path<VideoId>,
    body: Body<VideoPatch>,
    state: web::Data<State>,
) -> Result<web::Json<Video>, ApiError> {
    let change = body.into_inner().checked()?;
    // A change is told to the room: its log grows by it, as by a post.
    drop(state.posts.take(&me.user, Instant::now())?);
    let owner = me.user.clone();
    let found = state
        .change(move |conn, news| videos::change(conn, news, &id, &owner, change))
        .await?;
    videos::view(found).map(web::Json)
}

/// Addresses that play a video. They work for whoever has them, until they expire or the video becomes private.
#[utoipa::path(get, path = "/api/v1/videos/{id}/playback", tag = "videos", params(("id" = String, Path)),
    responses((status = 200, body = Playback)))]
pub async fn playback(
    viewer: MaybeSignedIn,
    id: web::Path<VideoId>,
    state: web::Data<State>,
) -> Result<web::Json<Playback>, ApiError> {
    let (video, asking) = (id.clone(), viewer.clone());
    let (row, _) = state
        .db
        .read(move |conn| videos::visible(conn, &video, asking.user()))
        .await?;
    if row.state()? != VideoState::Ready {
        return Err(ApiError::new(
            Code::Conflict,
            format!("The video can't be played yet; its state is `{}`.", row.state),
        ));
    }
    let (url, expires_at) = state.playback(&id, row.grant_version, viewer.user());
    let mime = row
        .mime
        .ok_or_else(|| ApiError::internal(format!("video {id} is ready without a type")))?;
    Ok(web::Json(Playback {
        sources: vec![Source {
            kind: SourceKind::File,
            url,
            mime,
        }],
        poster: None,
        expires_at,
    }))
}
