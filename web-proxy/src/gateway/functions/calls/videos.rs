//! Functions about videos.

use common::ids::VideoId;
use reqwest::Method;

use super::HttpCall;
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::read;
use crate::gateway::functions::request::{OneVideo, VideoChange, VideoDeletion, VideoDraft, VideoQuery};

/// The address of a video, or of something about it.
pub fn of(video: &VideoId, what: &str) -> String {
    format!("/api/v1/videos/{video}{what}")
}

pub fn list(data: &str) -> Result<HttpCall, Refusal> {
    let query: VideoQuery = read(data)?;
    Ok(HttpCall::get("/api/v1/videos".into()).query(&query))
}

pub fn show(data: &str) -> Result<HttpCall, Refusal> {
    let OneVideo { video } = read(data)?;
    Ok(HttpCall::get(of(&video, "")))
}

pub fn create(data: &str) -> Result<HttpCall, Refusal> {
    let draft: VideoDraft = read(data)?;
    Ok(HttpCall::new(Method::POST, "/api/v1/videos".into()).body(&draft))
}

pub fn change(data: &str) -> Result<HttpCall, Refusal> {
    let change: VideoChange = read(data)?;
    Ok(HttpCall::new(Method::PATCH, of(&change.video, "")).body(&change))
}

pub fn delete(data: &str) -> Result<HttpCall, Refusal> {
    let VideoDeletion { video, permanent } = read(data)?;
    let mut call = HttpCall::new(Method::DELETE, of(&video, ""));
    if permanent {
        call.query.push(("permanent".into(), "true".into()));
    }
    Ok(call)
}

pub fn restore(data: &str) -> Result<HttpCall, Refusal> {
    let OneVideo { video } = read(data)?;
    Ok(HttpCall::new(Method::POST, of(&video, "/restore")))
}

pub fn playback(data: &str) -> Result<HttpCall, Refusal> {
    let OneVideo { video } = read(data)?;
    Ok(HttpCall::get(of(&video, "/playback")))
}

pub fn deletion(data: &str) -> Result<HttpCall, Refusal> {
    let OneVideo { video } = read(data)?;
    Ok(HttpCall::get(of(&video, "/deletion")))
}
