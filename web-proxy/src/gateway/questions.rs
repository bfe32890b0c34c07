//! What the gateway itself asks of api-service on behalf of somebody.

use std::time::{Duration, Instant};

use common::error::Code;
use common::ids::VideoId;
use common::operation::{self, OperationId};
use reqwest::Method;

use super::api::{Api, Trip};
use super::envelope::Refusal;
use super::functions::Caller;
use super::functions::calls::HttpCall;

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(4);

/// A number that no log reaches: an answer without entries.
const BEYOND: &str = "9007199254740991";

impl Api {
    /// Whether `caller`, or a visitor, may read the log of a video. A refusal is no answer to that.
    pub async fn may_read(&self, video: &VideoId, caller: Option<&Caller>) -> Result<bool, Refusal> {
        let call = HttpCall {
            method: Method::GET,
            path: format!("/api/v1/videos/{video}/events"),
            query: vec![
                ("afterSeq".to_owned(), BEYOND.to_owned()),
                ("limit".to_owned(), "1".to_owned()),
            ],
            body: None,
        };
        let operation = operation::current_or_mint();
        match self.call(&call, &trip(caller, &operation)).await {
            Ok(_) => Ok(true),
            Err(refusal)
                if [Code::NotFound, Code::Gone]
                    .iter()
                    .any(|code| code.entry().number == refusal.code) =>
            {
                Ok(false)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Signs `caller` out.
    pub async fn end_session(&self, caller: &Caller) -> Result<(), Refusal> {
        let call = HttpCall {
            method: Method::DELETE,
            path: "/api/v1/sessions/current".to_owned(),
            query: Vec::new(),
            body: None,
        };
        let operation = operation::current_or_mint();
        self.call(&call, &trip(Some(caller), &operation)).await.map(drop)
    }
}

fn trip<'a>(caller: Option<&'a Caller>, operation: &'a OperationId) -> Trip<'a> {
    Trip {
        caller,
        operation,
        until: Instant::now() + DEADLINE,
    }
}
