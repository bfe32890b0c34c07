//! The caller's own account.

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Secret;
use common::error::ApiError;
use common::http::{Body, Page};
use common::messages::VideoState;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::sessions::check_own_password;
use crate::auth::SignedIn;
use crate::cursor::{self, Cursor};
use crate::input::{Paging, Patch};
use crate::leaving;
use crate::ops::accounts::{self, UserChange};
use crate::ops::{lists, videos};
use crate::rules::{self, Checks};
use crate::state::State;
use common::views::{User, Video};

/// The signed-in person.
#[utoipa::path(get, path = "/api/v1/users/me", tag = "accounts", responses((status = 200, body = User)))]
pub async fn show(me: SignedIn, state: web::Data<State>) -> Result<web::Json<User>, ApiError> {
    let id = me.user.clone();
    let user = state.db.read(move |conn| accounts::find(conn, &id)).await?;
    Ok(web::Json(user))
}

/// Members that are not there stay as they are; `null` takes a text away.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeChange {
    /// 1 to 64 characters; `null` is the username again.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    display_name: Patch<String>,
    /// Up to 1,000 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    bio: Patch<String>,
    /// A language tag such as `en` or `zh-CN`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Patch<String>,
}

/// Changes what is shown of the caller.
#[utoipa::path(patch, path = "/api/v1/users/me", tag = "accounts", request_body = MeChange,
    responses((status = 200, body = User)))]
pub async fn change(me: SignedIn, body: Body<MeChange>, state: web::Data<State>) -> Result<web::Json<User>, ApiError> {
    let body = body.into_inner();
    let mut checks = Checks::default();
    let mut text = |pointer, member: Patch<String>, default: String, rule: fn(&str) -> Result<String, String>| {
        let value = member.or_default(default)?;
        Some(checks.take(pointer, rule(&value)))
    };
    let change = UserChange {
        display_name: text(
            "/displayName",
            body.display_name,
            me.username.clone(),
            rules::display_name,
        ),
        bio: text("/bio", body.bio, String::new(), rules::bio),
        language: text("/language", body.language, String::new(), rules::language),
    };
    checks.done()?;
    let id = me.user.clone();
    let user = state
        .change(move |conn, news| accounts::change(conn, news, &id, change))
        .await?;
    Ok(web::Json(user))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    #[schema(value_type = String)]
    current: Secret,
    /// 8 to 128 characters, not among the 3,000 commonest.
    #[schema(value_type = String)]
    new: Secret,
}

/// Changes the password; every other session of the caller ends.
#[utoipa::path(post, path = "/api/v1/users/me/password", tag = "accounts", request_body = PasswordChange,
    responses((status = 204)))]
pub async fn change_password(
    me: SignedIn,
    request: HttpRequest,
    body: Body<PasswordChange>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body = body.into_inner();
    let mut checks = Checks::default();
    checks.take("/new", rules::password(&body.new));
    checks.done()?;
    let old_hash = check_own_password(&state, &request, &me, body.current).await?;
    let new_hash = state.passwords.hash(body.new).await?;
    let (id, keep) = (me.user.clone(), me.id.clone());
    state
        .change(move |conn, news| {
            let ended = accounts::set_password(conn, &id, &old_hash, &new_hash, Some(&keep))?;
            news.sessions(&id, ended);
            Ok(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    #[schema(value_type = String)]
    password: Secret,
}

/// Deletes the account: its sessions end now, its comments and danmaku are removed, its videos are purged. The name stays reserved.
#[utoipa::path(delete, path = "/api/v1/users/me", tag = "accounts", request_body = Leaving,
    responses((status = 202, description = "The videos are being purged")))]
pub async fn delete(
    me: SignedIn,
    request: HttpRequest,
    body: Body<Leaving>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    check_own_password(&state, &request, &me, body.into_inner().password).await?;
    leaving::close(&state, &me.user).await?;
    Ok(HttpResponse::Accepted().cookie(state.cookies.leave()).json(json!({})))
}

#[derive(Debug, Deserialize)]
pub struct MineQuery {
    state: Option<VideoState>,
    // Not flattened: the query's numbers are texts, which a flattened struct does not take.
    cursor: Option<String>,
    limit: Option<u32>,
}

/// All videos of the caller, newest first.
#[utoipa::path(get, path = "/api/v1/users/me/videos", tag = "videos",
    params(("state" = Option<VideoState>, Query), ("cursor" = Option<String>, Query),
        ("limit" = Option<u32>, Query, maximum = 100)),
    responses((status = 200, body = Page<Video>)))]
pub async fn my_videos(
    me: SignedIn,
    query: web::Query<MineQuery>,
    state: web::Data<State>,
) -> Result<web::Json<Page<Video>>, ApiError> {
    let query = query.into_inner();
    let (wanted, paging) = (
        query.state,
        Paging {
            cursor: query.cursor,
            limit: query.limit,
        },
    );
    let limit = paging.limit()?;
    let cursor = paging.cursor.as_deref().map(|text| Cursor::<i64>::decode("mine", text));
    let after = cursor.transpose()?.map(|cursor| (cursor.key, cursor.id));
    let owner = me.user.clone();
    let found = state
        .db
        .read(move |conn| Ok::<_, ApiError>(lists::own(conn, &owner, wanted, after, limit + 1)?))
        .await?;
    let items = found.into_iter().map(videos::view).collect::<Result<_, _>>()?;
    let position = |last: &Video| Cursor::new("mine", last.created_at.millis(), last.id.as_str()).encode();
    Ok(web::Json(cursor::page(items, limit, position)))
}
