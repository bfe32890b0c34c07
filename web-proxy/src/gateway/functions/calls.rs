//! Functions that are calls to api-service. What a function asks for is planned without asking anybody
//! (data in, [`HttpCall`] out); [`Api`] does the asking.
//!
//! Addresses are made of typed ids, whose characters mean nothing in a path; what a user wrote travels as query or body.

pub mod comments;
pub mod danmaku;
pub mod users;
pub mod videos;

use std::time::{Duration, Instant};

use common::operation::OperationId;
use reqwest::Method;
use serde::Serialize;

use super::Caller;
use crate::gateway::api::{Api, Trip};
use crate::gateway::envelope::Refusal;

/// The request that a function makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    pub method: Method,
    pub path: String,
    /// As in a URL, percent-encoded; without `?`.
    pub query: Vec<(String, String)>,
    /// JSON.
    pub body: Option<String>,
}

/// From the data of a call to the request that it makes.
pub type Plan = fn(&str) -> Result<HttpCall, Refusal>;

/// A function that api-service answers.
#[derive(Debug, Clone, Copy)]
pub enum ApiCall {
    /// By one request.
    One(Plan),
    /// `GetUsersInfo`: by one for each name.
    Users,
}

impl ApiCall {
    /// How many requests it makes.
    pub fn questions(self, data: &str) -> usize {
        match self {
            ApiCall::One(_) => 1,
            ApiCall::Users => users::names(data),
        }
    }

    /// The JSON of the reply, empty for none. Ends a little before `deadline`: its own words reach the client before
    /// those of whoever enforces the deadline.
    pub async fn run(
        self,
        api: &Api,
        caller: &Caller,
        data: &str,
        operation: &OperationId,
        deadline: Duration,
    ) -> Result<String, Refusal> {
        let trip = Trip {
            caller: Some(caller),
            operation,
            until: Instant::now() + (deadline - deadline / 20),
        };
        match self {
            ApiCall::One(plan) => api.call(&plan(data)?, &trip).await,
            ApiCall::Users => users::profiles(api, &trip, data).await,
        }
    }
}

impl HttpCall {
    fn new(method: Method, path: String) -> Self {
        HttpCall {
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    fn get(path: String) -> Self {
        HttpCall::new(Method::GET, path)
    }

    /// With the members of `query` that are there.
    fn query(mut self, query: &impl Serialize) -> Self {
        let members = serde_json::to_value(query).expect("a query is plain data");
        for (name, value) in members.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.query.push((name.clone(), value));
        }
        self
    }

    fn body(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_string(body).expect("a body is plain data"));
        self
    }
}
