//! Signing in and out, and the list of one's sessions.

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Secret;
use common::db::AnyConn;
use common::error::{ApiError, Code};
use common::http::{Body, Page};
use common::ids::Id;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::SignedIn;
use crate::cursor::Cursor;
use crate::input::Paging;
use crate::ops::accounts::{self, NewUser};
use crate::ops::sessions as table;
use crate::rules::{self, Checks};
use crate::session_cache::Session;
use crate::sessions::new_token;
use crate::sign_in_limit::Attempt;
use crate::state::State;
use common::views::{Entered, NewSession, ParsedToken, SessionView, User};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    username: String,
    #[schema(value_type = String)]
    password: Secret,
    /// What the program calls itself, such as `web`.
    #[serde(default)]
    platform: Option<String>,
}

/// Whom a session begins for.
pub enum NewSessionFor {
    NewUser(NewUser),
    /// The account that had this hash when its password was checked.
    Account(Id, Secret),
}

impl NewSessionFor {
    /// The account, in the transaction of the new session.
    fn settle(self, conn: &mut AnyConn) -> Result<User, ApiError> {
        match self {
            NewSessionFor::NewUser(user) => accounts::insert(conn, &user),
            NewSessionFor::Account(id, hash) => accounts::with_password(conn, &id, &hash),
        }
    }
}

/// Begins a session and answers with its token, in the body and as a cookie.
pub async fn enter(state: &State, whom: NewSessionFor, platform: String) -> Result<HttpResponse, ApiError> {
    let (token, hash) = new_token();
    let (id, lifetimes) = (Id::now(), state.sessions.lifetimes);
    let session_id = id.clone();
    let ticket = state.sessions.beginning();
    let (user, (now, end)) = state
        .db
        .write(move |conn| {
            let user = whom.settle(conn)?;
            let times = table::insert(conn, &session_id, &user.id, &hash, &platform, lifetimes)?;
            Ok::<_, ApiError>((user, times))
        })
        .await?;
    let session = Session {
        id: id.clone(),
        user: user.id.clone(),
        username: user.username.clone(),
        role: user.role,
        last_seen_at: common::time::Timestamp(now),
        expires_at: common::time::Timestamp(end),
    };
    let expires_at = session.expires_at;
    state.sessions.add(hash, session, ticket);
    let cookie = state.cookies.enter(&token, lifetimes.longest);
    let body = Entered {
        user,
        session: NewSession { id, token, expires_at },
    };
    Ok(HttpResponse::Created().cookie(cookie).json(body))
}

fn wrong_credentials() -> ApiError {
    ApiError::new(Code::WrongCredentials, "The name or the password is wrong.")
}

/// Checks the password of the account with this name under the limits of attempts; gives the account and its hash.
async fn check_credentials(
    state: &State,
    request: &HttpRequest,
    username: &str,
    password: Secret,
) -> Result<(Id, Secret), ApiError> {
    let name = Some(username).filter(|name| rules::is_username(name));
    let address = state.client(request)?;
    let attempt = state.sign_ins.begin(name, address, std::time::Instant::now())?;
    check(state, attempt, name.unwrap_or_default().to_owned(), password).await
}

/// Checks the password of the person who has this session, under a limit that nobody without one can use up.
pub async fn check_own_password(
    state: &State,
    request: &HttpRequest,
    me: &SignedIn,
    password: Secret,
) -> Result<Secret, ApiError> {
    let address = state.client(request)?;
    let attempt = state.sign_ins.begin_own(&me.user, address, std::time::Instant::now())?;
    let (_, hash) = check(state, attempt, me.username.clone(), password).await?;
    Ok(hash)
}

/// Settles `attempt`. The answer and its cost are the same for a wrong name and a wrong password; no account has the empty
/// name.
async fn check(state: &State, attempt: Attempt, username: String, password: Secret) -> Result<(Id, Secret), ApiError> {
    let checked = async {
        let found = state
            .db
            .read(move |conn| Ok::<_, ApiError>(accounts::credentials(conn, &username)?))
            .await?;
        let stored = found.as_ref().map(|(_, hash)| hash.clone());
        let good = state.passwords.verify(password, stored).await?;
        Ok::<_, ApiError>(found.filter(|_| good))
    };
    match checked.await {
        Ok(Some(account)) => {
            state.sign_ins.succeeded(attempt);
            Ok(account)
        }
        Ok(None) => Err(wrong_credentials()),
        Err(error) => {
            state.sign_ins.cancelled(attempt);
            Err(error)
        }
    }
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = SignIn,
    responses((status = 201, body = Entered)))]
pub async fn sign_in(
    request: HttpRequest,
    body: Body<SignIn>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let body = body.into_inner();
    let mut checks = Checks::default();
    let platform = checks.take(
        "/platform",
        rules::platform(body.platform.as_deref().unwrap_or_default()),
    );
    checks.done()?;
    let (id, hash) = check_credentials(&state, &request, &body.username, body.password).await?;
    enter(&state, NewSessionFor::Account(id, hash), platform).await
}

/// The caller's sessions, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query, maximum = 100)),
    responses((status = 200, body = Page<SessionView>)))]
pub async fn list(
    me: SignedIn,
    paging: web::Query<Paging>,
    state: web::Data<State>,
) -> Result<web::Json<Page<SessionView>>, ApiError> {
    let limit = paging.limit()?;
    let cursor = paging
        .cursor
        .as_deref()
        .map(|text| Cursor::<()>::decode("sessions", text));
    let before = cursor.transpose()?.map(|cursor| cursor.id);
    let user = me.user.clone();
    let rows = state
        .db
        .read(move |conn| Ok::<_, ApiError>(table::list(conn, &user, before.as_deref(), limit + 1)?))
        .await?;
    let items = rows.into_iter().map(|row| SessionView {
        current: row.id == me.id,
        id: row.id,
        platform: row.platform,
        created_at: common::time::Timestamp(row.created_at),
        last_seen_at: common::time::Timestamp(row.last_seen_at),
        expires_at: common::time::Timestamp(row.expires_at),
    });
    let position = |last: &SessionView| Cursor::new("sessions", (), last.id.as_str()).encode();
    Ok(web::Json(crate::cursor::page(items.collect(), limit, position)))
}

/// Signs out: ends one of the caller's sessions, `current` for the one of this request.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "An id of the list, or `current`")),
    responses((status = 204)))]
pub async fn end(me: SignedIn, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::not_found("session");
    let id: Id = match id.as_str() {
        "current" => me.id.clone(),
        text => text.parse().map_err(|_| not_found())?,
    };
    let (user, session) = (me.user.clone(), id.clone());
    let ended = state.change(move |conn, news| {
        let ended = table::end(conn, &user, &session)?;
        if ended {
            news.sessions(&user, vec![session]);
        }
        Ok(ended)
    });
    if !ended.await? {
        return Err(not_found());
    }
    let own = id == me.id;
    let mut answer = HttpResponse::NoContent();
    if own {
        answer.cookie(state.cookies.leave());
    }
    Ok(answer.finish())
}

/// Whom the token of this request belongs to.
#[utoipa::path(post, path = "/api/v1/tokens/parse", tag = "sessions", responses((status = 200, body = ParsedToken)))]
pub async fn parse_token(me: SignedIn) -> web::Json<ParsedToken> {
    web::Json(ParsedToken {
        user: me.user.clone(),
        username: me.username.clone(),
        role: me.role,
        expire_time_seconds: me.expires_at.millis() / 1000,
    })
}
