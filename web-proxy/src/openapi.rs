//! `/openapi.json`: one OpenAPI 3.1 document for everything at the edge, merged from the services' own. In the embedded
//! way they are given at start; in scaled mode they are fetched, and one that can't be is named in `x-sluice-missing`
//! instead of failing the whole.

mod fetch;
mod merge;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use common::error::ApiError;
use serde_json::Value;

pub use fetch::Fetched;
use merge::merge;

use crate::answer::Content;

/// The services' own documents, in the order of precedence.
pub struct Documents(Vec<utoipa::openapi::OpenApi>);

impl<const N: usize> From<[utoipa::openapi::OpenApi; N]> for Documents {
    fn from(documents: [utoipa::openapi::OpenApi; N]) -> Self {
        Documents(documents.into())
    }
}

/// The document of a process that holds all services.
#[derive(Clone)]
pub struct Merged(Content);

impl Merged {
    pub fn new(public_url: &str, documents: Documents) -> Self {
        let documents = documents
            .0
            .iter()
            .map(|document| serde_json::to_value(document).expect("a generated document is plain data"));
        Merged(content(&merge(public_url, documents.collect(), &[])))
    }
}

fn content(document: &Value) -> Content {
    let bytes = serde_json::to_vec(document).expect("a document is plain data");
    Content::new(Bytes::from(bytes), "application/json", "no-cache")
}

#[allow(clippy::unused_async, reason = "actix handlers are async")]
pub async fn ready_made(request: HttpRequest, merged: web::Data<Merged>) -> HttpResponse {
    merged.0.answer(&request)
}

pub async fn fetched(request: HttpRequest, documents: web::Data<Fetched>) -> Result<HttpResponse, ApiError> {
    Ok(documents.content().await.answer(&request))
}
