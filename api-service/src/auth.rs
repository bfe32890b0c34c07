//! Who asks: the owner of the session token, and nobody else; never a header, a query or a field of a body.
//!
//! `SignedIn` as a handler's argument makes the request need a session (401 otherwise); `MaybeSignedIn` tells when there is
//! one. A cookie that has expired makes a visitor, as if it were not there; a bearer token that is not good is an error,
//! because a program put it there on purpose.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::cookie::time::Duration as CookieAge;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest, web};
use common::error::{ApiError, Code};
use common::http::{CookieName, SessionToken, session_token};
use common::ids::Id;

use crate::session_cache::Session;
use crate::state::State;

/// The session of this request.
#[derive(Debug, Clone)]
pub struct SignedIn(Arc<Session>);

impl Deref for SignedIn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

/// The session of this request, if it has one.
#[derive(Debug, Clone)]
pub struct MaybeSignedIn(Option<SignedIn>);

impl MaybeSignedIn {
    pub fn user(&self) -> Option<&Id> {
        self.0.as_ref().map(|session| &session.user)
    }
}

/// 401 for a request that needs a session (RFC 9110 section 11.6.1 asks for the header).
pub fn unauthenticated() -> ApiError {
    ApiError::new(Code::Unauthenticated, "This needs a session; sign in.")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

/// What a request brought: its session, or how a bad token came.
enum Found {
    Session(SignedIn),
    BadBearer,
    Nothing,
}

async fn find(token: Option<SessionToken>, state: web::Data<State>) -> Result<Found, ApiError> {
    let Some(token) = token else { return Ok(Found::Nothing) };
    match (state.sessions.find(token.as_str()).await?, token) {
        (Some(session), _) => Ok(Found::Session(SignedIn(session))),
        (None, SessionToken::Bearer(_)) => Ok(Found::BadBearer),
        (None, SessionToken::Cookie(_)) => Ok(Found::Nothing),
    }
}

fn parts(request: &HttpRequest) -> Result<(Option<SessionToken>, web::Data<State>), ApiError> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let state = state.ok_or_else(|| ApiError::internal("the scope has no state"))?;
    Ok((session_token(request, state.cookies.name())?, state))
}

impl FromRequest for SignedIn {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parts = parts(request);
        Box::pin(async move {
            let (token, state) = parts?;
            match find(token, state).await? {
                Found::Session(session) => Ok(session),
                Found::BadBearer | Found::Nothing => Err(unauthenticated()),
            }
        })
    }
}

impl FromRequest for MaybeSignedIn {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parts = parts(request);
        Box::pin(async move {
            let (token, state) = parts?;
            match find(token, state).await? {
                Found::Session(session) => Ok(MaybeSignedIn(Some(session))),
                Found::Nothing => Ok(MaybeSignedIn(None)),
                Found::BadBearer => Err(unauthenticated()),
            }
        })
    }
}

/// How the session cookie is named and bound.
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    /// People reach us by TLS: the cookie is sent by TLS only and bound to this host.
    pub secure: bool,
}

impl Cookies {
    pub const fn name(self) -> CookieName {
        if self.secure {
            CookieName::Host
        } else {
            CookieName::Plain
        }
    }

    fn cookie(self, value: String) -> Cookie<'static> {
        Cookie::build(self.name().as_str(), value)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.secure)
            .finish()
    }

    /// Carries `token` for at most `longest_ms`: the server ends the session earlier when it is not used.
    pub fn enter(self, token: &str, longest_ms: i64) -> Cookie<'static> {
        let mut cookie = self.cookie(token.to_owned());
        cookie.set_max_age(CookieAge::milliseconds(longest_ms));
        cookie
    }

    /// Makes the browser forget its token.
    pub fn leave(self) -> Cookie<'static> {
        let mut cookie = self.cookie(String::new());
        cookie.make_removal();
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
        let plain = Cookies { secure: false }.enter("t", 90_000).to_string();
        assert_eq!(plain, "sluice_session=t; HttpOnly; SameSite=Lax; Path=/; Max-Age=90");
        let secure = Cookies { secure: true }.enter("t", 90_000).to_string();
        assert_eq!(
            secure,
            "__Host-sluice_session=t; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=90"
        );
        let gone = Cookies { secure: true }.leave().to_string();
        assert!(
            gone.starts_with("__Host-sluice_session=; ") && gone.contains("Max-Age=0"),
            "{gone}"
        );
    }
}
