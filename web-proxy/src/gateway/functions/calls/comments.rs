//! Functions about comments.

use reqwest::Method;

use super::{HttpCall, videos};
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::read;
use crate::gateway::functions::request::{CommentDraft, CommentQuery, OneComment};

pub fn create(data: &str) -> Result<HttpCall, Refusal> {
    let draft: CommentDraft = read(data)?;
    Ok(HttpCall::new(Method::POST, videos::of(&draft.video, "/comments")).body(&draft))
}

pub fn list(data: &str) -> Result<HttpCall, Refusal> {
    let query: CommentQuery = read(data)?;
    Ok(HttpCall::get(videos::of(&query.video, "/comments")).query(&query))
}

pub fn remove(data: &str) -> Result<HttpCall, Refusal> {
    let OneComment { comment } = read(data)?;
    Ok(HttpCall::new(Method::DELETE, format!("/api/v1/comments/{comment}")))
}
