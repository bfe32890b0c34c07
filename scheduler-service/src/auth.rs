//! Who may look at jobs: an operator, and nobody else.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use common::error::ApiError;
use common::http::{operator, session_token};
use common::messages::TokenOwner;

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
            let (token, state) = found?;
            operator(&state.api, token, "see jobs").await.map(Operator)
        })
    }
}
