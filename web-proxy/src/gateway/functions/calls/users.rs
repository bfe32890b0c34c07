//! Functions about people.

use std::collections::HashSet;

use common::error::Code;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;

use super::HttpCall;
use crate::gateway::api::{Api, Trip};
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::input::refused;
use crate::gateway::functions::read;
use crate::gateway::functions::request::{NoData, SelfInfo, Usernames};

const ME: &str = "/api/v1/users/me";

/// Most names of one call, and how many of them are asked about at once.
const MAX_NAMES: usize = 50;
const AT_ONCE: usize = 8;

pub fn me(data: &str) -> Result<HttpCall, Refusal> {
    let NoData {} = read(data)?;
    Ok(HttpCall::get(ME.into()))
}

pub fn change_me(data: &str) -> Result<HttpCall, Refusal> {
    let change: SelfInfo = read(data)?;
    Ok(HttpCall::new(Method::PATCH, ME.into()).body(&change))
}

/// How many are named, at least one.
pub fn names(data: &str) -> usize {
    profile_calls(data).map_or(1, |calls| calls.len().max(1))
}

/// The profiles of the people named in `data`, in that order; who does not exist is left out.
pub async fn profiles(api: &Api, trip: &Trip<'_>, data: &str) -> Result<String, Refusal> {
    let calls = profile_calls(data)?;
    let answers: Vec<_> = stream::iter(&calls)
        .map(|call| api.call(call, trip))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut users = String::from(r#"{"users":["#);
    for answer in answers {
        let profile = match answer {
            Err(refusal) if refusal.code == Code::NotFound.entry().number => continue,
            answer => answer?,
        };
        if !users.ends_with('[') {
            users.push(',');
        }
        users.push_str(&profile);
    }
    users.push_str("]}");
    Ok(users)
}

/// One request for each name that somebody can have; a name that stands twice counts once.
pub fn profile_calls(data: &str) -> Result<Vec<HttpCall>, Refusal> {
    let Usernames { usernames } = read(data)?;
    if usernames.is_empty() || usernames.len() > MAX_NAMES {
        return Err(refused("usernames", &format!("1 to {MAX_NAMES} names")));
    }
    let mut seen = HashSet::new();
    let names = usernames.iter().filter(|name| is_username(name) && seen.insert(*name));
    Ok(names
        .map(|name| HttpCall::get(format!("/api/v1/users/{name}")))
        .collect())
}

/// The form of every username (3 to 32 of `a-z 0-9 _ -`, beginning with a letter): it means nothing in a path, and `me`
/// is none.
fn is_username(text: &str) -> bool {
    (3..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}
