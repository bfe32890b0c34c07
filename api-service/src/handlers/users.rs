//! Registering, and what everybody may know of a person.

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Secret;
use common::error::ApiError;
use common::http::Body;
use common::ids::Id;
use common::messages::Role;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sessions::{NewSessionFor, enter};
use crate::ops::accounts::{self, NewUser};
use crate::rules::{self, Checks};
use crate::state::State;
use common::views::{Entered, Profile};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// 3 to 32 of `a-z 0-9 _ -`, beginning with a letter.
    username: String,
    /// 8 to 128 characters, not among the 3,000 commonest.
    #[schema(value_type = String)]
    password: Secret,
    /// 1 to 64 characters; the username when not given.
    #[serde(default)]
    display_name: Option<String>,
    /// What the program calls itself, such as `web`.
    #[serde(default)]
    platform: Option<String>,
}

/// Registers an account and signs in.
#[utoipa::path(post, path = "/api/v1/users", tag = "accounts", request_body = Registration,
    responses((status = 201, body = Entered)))]
pub async fn register(
    request: HttpRequest,
    body: Body<Registration>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body = body.into_inner();
    let mut checks = Checks::default();
    let username = checks.take("/username", rules::username(&body.username));
    checks.take("/password", rules::password(&body.password));
    let display_name = match &body.display_name {
        Some(name) => checks.take("/displayName", rules::display_name(name)),
        None => username.clone(),
    };
    let platform = checks.take(
        "/platform",
        rules::platform(body.platform.as_deref().unwrap_or_default()),
    );
    checks.done()?;
    let address = state.client(&request)?;
    state.registrations.begin(address, std::time::Instant::now())?;
    let hashed = hash_if_free(&state, &username, body.password).await;
    if hashed.is_err() {
        state.registrations.cancelled(address);
    }
    let user = NewUser {
        id: Id::now(),
        username,
        display_name,
        password_hash: hashed?,
        role: Role::User,
    };
    enter(&state, NewSessionFor::NewUser(user), platform).await
}

/// The hash to store, unless somebody has the name: that is found out before it costs a hash. Two that register the same
/// name at once meet at the unique index.
async fn hash_if_free(state: &State, username: &str, password: Secret) -> Result<Secret, ApiError> {
    let name = username.to_owned();
    let taken = state
        .db
        .read(move |conn| Ok::<_, ApiError>(accounts::is_taken(conn, &name)?))
        .await?;
    if taken {
        return Err(accounts::username_taken());
    }
    state.passwords.hash_of_newcomer(password).await
}

/// A person's public profile.
#[utoipa::path(get, path = "/api/v1/users/{username}", tag = "accounts", params(("username" = String, Path)),
    responses((status = 200, body = Profile)))]
pub async fn profile(username: web::Path<String>, state: web::Data<State>) -> Result<web::Json<Profile>, ApiError> {
    if !rules::is_username(&username) {
        return Err(ApiError::not_found("user"));
    }
    let profile = state.db.read(move |conn| accounts::profile(conn, &username)).await?;
    Ok(web::Json(profile))
}
