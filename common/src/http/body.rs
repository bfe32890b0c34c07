//! A JSON request body: bounded, an object, and refused with a pointer to the member that is wrong.

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::payload_error;
use crate::error::{ApiError, Code};

/// The body of a request as `T`. Refusals: 400 for what is not JSON, 413 over the bound of the scope, 422 for JSON of another
/// shape.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T> Body<T> {
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            let essence = kind.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                let detail = "Send the body as JSON, with Content-Type: application/json.";
                return Err(ApiError::new(Code::BadRequest, detail));
            }
            let bytes = bytes.await.map_err(|error| match error.as_error::<PayloadError>() {
                Some(error) => payload_error(error),
                None => ApiError::new(Code::BadRequest, format!("The body can't be read: {error}.")),
            })?;
            parse(&bytes).map(Body)
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    match parsed {
        // serde takes an array for a struct, member by member: nobody means that.
        Ok(_) if first != Some(&b'{') => Err(shape("", "The body is an object: {…}.")),
        Ok(value) => json.end().map(|()| value).map_err(|error| not_json(&error)),
        Err(error) if error.inner().is_data() && first == Some(&b'{') => {
            let text = error.inner().to_string();
            let mut pointer = pointer(error.path());
            if let Some(name) = named_member(&text).filter(|name| !pointer.ends_with(&format!("/{name}"))) {
                pointer.push('/');
                pointer.push_str(name);
            }
            Err(shape(&pointer, &text))
        }
        Err(error) if error.inner().is_data() => Err(shape("", "The body is an object: {…}.")),
        Err(error) => Err(not_json(error.inner())),
    }
}

fn shape(pointer: &str, text: &str) -> ApiError {
    let detail = "The body is JSON, but not of the right shape; `errors` says where.";
    ApiError::new(Code::Invalid, detail).field(pointer, without_position(text))
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::new(Code::BadRequest, format!("The body is not JSON: {error}."))
}

/// The JSON pointer (RFC 6901) of a path into the body.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&name);
    }
    pointer
}

/// The member that serde's text is about, where it names one.
fn named_member(text: &str) -> Option<&str> {
    let rest = text
        .strip_prefix("unknown field `")
        .or_else(|| text.strip_prefix("missing field `"))?;
    rest.split('`').next()
}

/// serde's text without "at line 1 column 7": the pointer says where.
fn without_position(text: &str) -> &str {
    text.split(" at line ").next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Draft {
        title: String,
        tags: Option<Vec<String>>,
    }

    fn check(body: &str, code: Code, pointer: Option<&str>) {
        let error = parse::<Draft>(body.as_bytes()).unwrap_err();
        let problem = error.problem();
        let pointers: Vec<&str> = problem.errors.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(error.code(), code, "{body}: {error}");
        assert_eq!(pointers, pointer.into_iter().collect::<Vec<_>>(), "{body}");
        assert!(
            problem.errors.iter().all(|field| !field.detail.contains("line 1")),
            "{body}"
        );
    }

    #[test]
    fn refusals_say_where() {
        assert!(parse::<Draft>(br#" {"title":"x"} "#).is_ok());
        check(r#"{"title":5}"#, Code::Invalid, Some("/title"));
        check(r#"{"title":"x","tags":["a",7]}"#, Code::Invalid, Some("/tags/1"));
        check(r#"{"title":"x","state":"ready"}"#, Code::Invalid, Some("/state"));
        check("{}", Code::Invalid, Some("/title"));
        check(r#"["x",null]"#, Code::Invalid, Some(""));
        check("[]", Code::Invalid, Some(""));
        check("5", Code::Invalid, Some(""));
        check("null", Code::Invalid, Some(""));
        check("", Code::BadRequest, None);
        check("{", Code::BadRequest, None);
        check(r#"{"title":"x"} x"#, Code::BadRequest, None);
    }
}
