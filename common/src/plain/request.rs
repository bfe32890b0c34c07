//! The head of a request. Its body, where it may have one, is the business of who has the framework's request.

use std::net::SocketAddr;

use actix_http::RequestHead;
use actix_web::http::{Method, Version};

use super::Fields;

#[derive(Debug, Clone, Copy)]
pub struct PlainRequest<'a> {
    pub method: &'a Method,
    /// Byte for byte as they came.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub fields: Fields<'a>,
    pub peer: Option<SocketAddr>,
    /// HTTP/1.0 has no chunks.
    pub version: Version,
}

impl<'a> From<&'a RequestHead> for PlainRequest<'a> {
    fn from(head: &'a RequestHead) -> Self {
        PlainRequest {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query(),
            fields: Fields::Map(&head.headers),
            peer: head.peer_addr,
            version: head.version,
        }
    }
}
