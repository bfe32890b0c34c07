//! The error every handler returns, and how it becomes a response.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Code, PROBLEM_JSON, Problem};
use crate::operation;

/// One refused field of a request body or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, such as `/title`.
    pub pointer: String,
    pub detail: String,
}

/// A failure on its way to a client: an entry of the catalogue, a text for people, and a cause for the log only.
pub struct ApiError(Box<Inner>);

struct Inner {
    code: Code,
    /// In the place of `/problems/<code>`.
    kind: Option<&'static str>,
    detail: String,
    fields: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

impl ApiError {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        ApiError(Box::new(Inner {
            code,
            kind: None,
            detail: detail.into(),
            fields: Vec::new(),
            extra: Map::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// 500 with a fixed text; `cause` reaches the log and nobody else.
    pub fn internal(cause: impl fmt::Display) -> Self {
        ApiError::new(Code::Internal, "The failure has been logged under the operation id.").because(cause)
    }

    /// 422 `invalid` for one field; more are added with [`ApiError::field`].
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        ApiError::new(Code::Invalid, "At least one field is not valid; `errors` names each.").field(pointer, detail)
    }

    /// 422 `invalid` naming all of `fields`.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        let mut error = ApiError::new(Code::Invalid, "At least one field is not valid; `errors` names each.");
        error.0.fields = fields;
        error
    }

    /// 404 in the words every service uses, for what is not there and for what is not yours.
    pub fn not_found(what: &str) -> Self {
        ApiError::new(Code::NotFound, format!("There is no such {what}."))
    }

    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.fields.push(FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        self
    }

    /// Adds a member to the problem document.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.extra.insert(member.to_owned(), value.into());
        self
    }

    /// Names a problem type that is registered elsewhere (RFC 9457 section 3.1.1); `code` stays that of the catalogue.
    #[must_use]
    pub fn kind(mut self, uri: &'static str) -> Self {
        self.0.kind = Some(uri);
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// `Retry-After` in whole seconds, rounded up, at least 1 (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let value = HeaderValue::from_str(&seconds.to_string()).expect("digits are a header value");
        self.header(RETRY_AFTER, value)
    }

    /// What the log is told. It never reaches the client.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document for this error under the current operation id.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let entry = self.0.code.entry();
        Problem {
            kind: match self.0.kind {
                Some(uri) => uri.to_owned(),
                None => format!("/problems/{}", entry.code),
            },
            title: entry.title.to_owned(),
            status: entry.status,
            detail: self.0.detail.clone(),
            code: entry.code.to_owned(),
            err_code: entry.number,
            operation_id: operation::current().map(|id| id.to_string()).unwrap_or_default(),
            errors: self.0.fields.clone(),
            extra: self.0.extra.clone(),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.entry().code, self.0.detail)?;
        match &self.0.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.entry().status).expect("the catalogue's statuses are valid")
    }

    fn error_response(&self) -> HttpResponse {
        let body = serde_json::to_vec(&self.problem()).expect("a problem document is plain data");
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, PROBLEM_JSON));
        if self.status_code() == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1. Not Basic: browsers must not ask for a password on their own.
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response.body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_fields_and_hides_the_cause() {
        let error = ApiError::invalid("/title", "1 to 200 characters")
            .with("maxBytes", 7)
            .because("secret cause");
        let value = serde_json::to_value(error.problem()).unwrap();
        assert_eq!(value["type"], "/problems/invalid");
        assert_eq!(value["status"], 422);
        assert_eq!(value["errors"][0]["pointer"], "/title");
        assert_eq!(value["maxBytes"], 7);
        assert!(!value.to_string().contains("secret"));
        assert!(error.to_string().contains("secret cause"));
    }

    #[test]
    fn retry_after_rounds_up() {
        let response = ApiError::new(Code::Overloaded, "x")
            .retry_after(Duration::from_millis(1001))
            .error_response();
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
    }
}
