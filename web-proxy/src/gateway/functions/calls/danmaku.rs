//! Functions about danmaku.

use reqwest::Method;

use super::{HttpCall, videos};
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::read;
use crate::gateway::functions::request::{DanmakuDraft, DanmakuQuery};

pub fn create(data: &str) -> Result<HttpCall, Refusal> {
    let draft: DanmakuDraft = read(data)?;
    Ok(HttpCall::new(Method::POST, videos::of(&draft.video, "/danmaku")).body(&draft))
}

pub fn list(data: &str) -> Result<HttpCall, Refusal> {
    let query: DanmakuQuery = read(data)?;
    Ok(HttpCall::get(videos::of(&query.video, "/danmaku")).query(&query))
}
