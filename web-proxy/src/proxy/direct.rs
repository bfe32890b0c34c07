//! What is read, in front of the App, as media is in stream-service: routing and extracting cost as much as relaying 100 KiB does.
//!
//! A handler in front of the App is one for all threads, a [`Worker`] belongs to its own; the App of each thread, which has it,
//! says here which it is.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use actix_web::http::{Method, Version, header};
use common::error::ApiError;
use common::plain::{Answer, PlainHandler, PlainRequest};
use futures_util::future::LocalBoxFuture;

use super::{Incoming, Worker, route};

thread_local! {
    static HERE: RefCell<Weak<Worker>> = const { RefCell::new(Weak::new()) };
}

/// `worker` is this thread's from now on.
pub fn serve_here(worker: &Rc<Worker>) {
    HERE.set(Rc::downgrade(worker));
}

const MEDIA: &str = "/media/";

/// What has no body and is spelled as the services spell it; all else is the App's, which gives it the same answer.
pub struct DirectReads;

impl PlainHandler for DirectReads {
    fn wants(&self, request: &PlainRequest<'_>) -> bool {
        let (path, fields) = (request.path, request.fields);
        *request.method == Method::GET
            && request.version == Version::HTTP_11
            && (path.starts_with(MEDIA) || path.starts_with("/api/v1/"))
            && !fields.has(&header::CONTENT_LENGTH)
            && !fields.has(&header::TRANSFER_ENCODING)
    }

    fn outlasts_half_close(&self, request: &PlainRequest<'_>) -> bool {
        request.path.starts_with(MEDIA)
    }

    fn answer<'a>(&'a self, request: PlainRequest<'a>, moves: bool) -> LocalBoxFuture<'a, Result<Answer, ApiError>> {
        let worker = HERE.with_borrow(Weak::upgrade);
        Box::pin(async move {
            let worker = worker.ok_or_else(|| ApiError::internal("this thread has no proxy"))?;
            let target = route(&request)?;
            let answer = worker.pass_on(target, &request, moves, Incoming::Payload(None)).await?;
            answer.ok_or_else(|| ApiError::internal("no page begins like what is asked of a service"))
        })
    }
}
