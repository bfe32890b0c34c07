//! Small things every service's routes need: resources that answer 405 with `Allow`, typed input whose failures are
//! problem documents, and who asks (`session`).

mod batch;
mod body;
mod operator;
mod session;

use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, PathConfig, PayloadConfig, QueryConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, Code};

pub use batch::{SOON, serve_each};
pub use body::Body;
pub use operator::operator;
pub use session::{
    CookieName, HOST_SESSION_COOKIE, SESSION_COOKIE, SessionToken, bearer, refuse_cross_site, same_secret,
    session_token,
};

/// Largest JSON body, in bytes: a description of 5,000 characters fits eight times.
pub const MAX_JSON: usize = 64 * 1024;

/// Entries of a list when the client names no number, and the most it may name.
pub const DEFAULT_LIMIT: u32 = 20;
pub const MAX_LIMIT: u32 = 100;

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to read on; null at the end.
    pub next: Option<String>,
}

/// One address and its methods: what is not among them is answered 405 with `Allow` (RFC 9110 section 15.5.6).
pub struct Methods {
    resource: Resource,
    allow: Vec<Method>,
}

/// Begins the routes of `path`: `resource("/videos").on(Method::GET, list).on(Method::POST, create).done()`.
#[must_use]
pub fn resource(path: &str) -> Methods {
    Methods {
        resource: web::resource(path),
        allow: Vec::new(),
    }
}

impl Methods {
    #[must_use]
    pub fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.allow.push(method);
        self
    }

    /// GET, and HEAD with it (RFC 9110 section 9.1): the server sends the head of the same answer.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler.clone()).on(Method::HEAD, handler)
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    /// The methods so far; for tests that compare routes with their documentation. HEAD goes with GET and is not named.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        self.allow
            .iter()
            .filter(|method| *method != Method::HEAD)
            .cloned()
            .collect()
    }

    /// The finished resource, to be given to `ServiceConfig::service`.
    #[must_use]
    pub fn done(self) -> Resource {
        let allow = self.allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let allow = HeaderValue::from_str(&allow).expect("method names are a header value");
        self.resource.default_service(web::to(move || {
            let refused = ApiError::new(Code::MethodNotAllowed, "The header `Allow` names the methods that are.");
            std::future::ready(Err::<&'static str, _>(refused.header(header::ALLOW, allow.clone())))
        }))
    }
}

/// A service's own OpenAPI document at `path`; the edge in scaled mode reads and merges them.
#[must_use]
pub fn openapi_document(path: &str, document: &utoipa::openapi::OpenApi) -> Resource {
    let text = web::Bytes::from(serde_json::to_vec(document).expect("an OpenAPI document is plain data"));
    let show = move || {
        let answer = HttpResponse::Ok().content_type("application/json").body(text.clone());
        std::future::ready(answer)
    };
    resource(path).get(show).done()
}

/// Extractor settings for a scope: bounds, and failures in the form of all others.
pub fn typed_input(config: &mut web::ServiceConfig) {
    config
        .app_data(QueryConfig::default().error_handler(|error, _| {
            ApiError::new(Code::BadRequest, format!("The query can't be read: {error}.")).into()
        }))
        // An id that can't be one is a thing that is not there.
        .app_data(
            PathConfig::default()
                .error_handler(|_, _| ApiError::new(Code::NotFound, "There is nothing at this address.").into()),
        )
        .app_data(PayloadConfig::new(MAX_JSON));
}

/// The problem that a body which stopped arriving causes.
#[must_use]
pub fn payload_error(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            ApiError::new(Code::RequestTimeout, "The body stopped arriving.")
        }
        PayloadError::Overflow => {
            ApiError::new(Code::BodyTooLarge, "The body is larger than allowed.").with("maxBytes", MAX_JSON)
        }
        other => ApiError::new(Code::BadRequest, format!("The body ended early: {other}.")),
    }
}
