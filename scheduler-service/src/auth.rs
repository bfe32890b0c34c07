//! Who may look at jobs: an operator, and nobody else. The token is asked about at api-service with every request; these
//! routes are few and seldom used, and nothing is granted while api-service can't be asked.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use common::error::{ApiError, Code};
use common::http::session_token;
use common::messages::{Role, TokenOwner};

use crate::handlers::State;

/// An operator, as api-service knows the token.
pub struct Operator(pub TokenOwner);

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>().cloned();
        let found = state
            .ok_or_else(|| ApiError::internal("the scope has no state"))
            .and_then(|state| Ok((session_token(request, state.cookie)?, state)));
        Box::pin(async move {
            let (Some(token), state) = found? else {
                return Err(ApiError::new(Code::Unauthenticated, "Sign in as an operator."));
            };
            let owner = state.api.parse_token(token.as_str()).await?;
            match owner.role {
                Role::Operator => Ok(Operator(owner)),
                Role::User => Err(ApiError::new(Code::Forbidden, "Only operators see jobs.")),
            }
        })
    }
}
