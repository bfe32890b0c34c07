//! Who may see and do what is for operators only. The token is asked about at api-service with every request: such routes are few and
//! seldom used, and nothing is granted while api-service can't be asked.

use super::SessionToken;
use crate::clients::ApiClient;
use crate::error::{ApiError, Code};
use crate::messages::{Role, TokenOwner};

/// The operator who shows this token; 401 without one, 403 with somebody else's. `what` completes "Only operators …".
pub async fn operator(api: &ApiClient, token: Option<SessionToken>, what: &str) -> Result<TokenOwner, ApiError> {
    let Some(token) = token else {
        return Err(ApiError::new(Code::Unauthenticated, "Sign in as an operator."));
    };
    let owner = api.parse_token(token.as_str()).await?;
    match owner.role {
        Role::Operator => Ok(owner),
        Role::User => Err(ApiError::new(Code::Forbidden, format!("Only operators {what}."))),
    }
}
