//! Heads of requests, and their answers, free of the framework: one handler serves those that actix-http has decoded and
//! those that are taken before it (`serve::fast`), by the same code.

mod answer;
mod answer_fields;
mod fields;
mod request;

use futures_util::future::LocalBoxFuture;

use crate::error::ApiError;

pub use answer::{Answer, Body};
pub use answer_fields::{AnswerFields, ReadFields};
pub use fields::Fields;
pub(crate) use fields::text;
pub use request::PlainRequest;

/// A handler of requests without a body, in front of the App.
pub trait PlainHandler: Send + Sync {
    /// Whether this request is its own. What it leaves goes to the App, which must have a route for every other spelling of the
    /// same address.
    fn wants(&self, request: &PlainRequest<'_>) -> bool;

    /// Whether a client that has closed its side of the connection, and only reads, gets the answer to this request to its end. It
    /// is the server's to say (RFC 9112 section 9.6). For the others whoever closes has left.
    fn outlasts_half_close(&self, request: &PlainRequest<'_>) -> bool;

    /// Answers as a handler of the App would. `moves`: the connection can take [`Body::Moved`].
    fn answer<'a>(&'a self, request: PlainRequest<'a>, moves: bool) -> LocalBoxFuture<'a, Result<Answer, ApiError>>;
}
