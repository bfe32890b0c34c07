//! Failures: their causes in the log, and the one form that all of them have.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{Error, HttpResponse};

use crate::error::{ApiError, Code, PROBLEM_JSON};
use crate::plain::{Answer, Body, text};

/// The cause of a failure, once, with the operation id.
pub(super) fn log_failure(error: Option<&Error>) {
    let Some(error) = error else { return };
    let status = error.as_response_error().status_code().as_u16();
    match error.as_error::<ApiError>() {
        Some(api) => log_api_failure(api),
        None if status >= 500 => log::error!("{error}"),
        _ => {}
    }
}

/// [`log_failure`] of one of ours.
pub(crate) fn log_api_failure(api: &ApiError) {
    let entry = api.code().entry();
    if entry.status >= 500 {
        log::error!(code = entry.code; "{api}");
    } else if api.cause().is_some() {
        log::info!(code = entry.code; "{api}");
    }
}

/// Gives failures that are not ours (empty or plain text) the form of all others.
pub(super) fn normalise(response: &mut HttpResponse<BoxBody>) {
    let status = response.status();
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let Some((status, body)) = problem_instead(status, content_type) else {
        return;
    };
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    let head = std::mem::replace(response, HttpResponse::new(status));
    *response = head.set_body(BoxBody::new(body));
}

/// [`normalise`] for an answer that the framework does not carry.
pub(super) fn normalised(mut answer: Answer) -> Answer {
    if !is_failure(answer.status) {
        return answer;
    }
    let kind = answer.fields.get(&header::CONTENT_TYPE);
    let kind = kind.and_then(text);
    if let Some((status, body)) = problem_instead(answer.status, kind) {
        answer.status = status;
        answer.body = Body::Bytes(body.into());
        let mut fields = answer.fields.into_named();
        fields.retain(|(name, _)| *name != header::CONTENT_TYPE);
        let kind = HeaderValue::from_static(PROBLEM_JSON);
        fields.push((header::CONTENT_TYPE, kind));
        answer.fields = fields.into();
    }
    answer
}

fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// What is said instead of a failure that is empty or plain text.
fn problem_instead(status: StatusCode, content_type: Option<&str>) -> Option<(StatusCode, Vec<u8>)> {
    let own = content_type.is_some_and(|kind| !kind.starts_with("text/plain"));
    if !is_failure(status) || own {
        return None;
    }
    let code = Code::from_status(status.as_u16());
    let problem = ApiError::new(code, default_detail(code)).problem();
    let body = serde_json::to_vec(&problem).expect("a problem document is plain data");
    let status = StatusCode::from_u16(code.entry().status).expect("the catalogue's statuses are valid");
    Some((status, body))
}

fn default_detail(code: Code) -> &'static str {
    match code {
        Code::NotFound => "There is nothing at this address.",
        Code::MethodNotAllowed => "The header `Allow` names the methods that are.",
        _ => "The request was refused before it reached a service.",
    }
}
