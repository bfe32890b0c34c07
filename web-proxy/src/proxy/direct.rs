//! What is read, in front of the App, as media is in stream-service: routing and extracting cost as much as relaying 100 KiB does.
//!
//! A handler in front of the App is one for all threads, a [`Worker`] belongs to its own; the App of each thread, which has it,
//! says here which it is.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::{Method, header};
use common::error::ApiError;
use common::serve::DirectHandler;
use futures_util::future::LocalBoxFuture;

use super::{Via, Worker};

thread_local! {
    static HERE: RefCell<Weak<Worker>> = const { RefCell::new(Weak::new()) };
}

/// `worker` is this thread's from now on.
pub fn serve_here(worker: &Rc<Worker>) {
    HERE.set(Rc::downgrade(worker));
}

/// What has no body and is spelled as the services spell it; all else is the App's, which gives it the same answer.
pub struct DirectReads;

impl DirectHandler for DirectReads {
    fn wants(&self, head: &RequestHead) -> bool {
        let has_body =
            head.headers.contains_key(header::CONTENT_LENGTH) || head.headers.contains_key(header::TRANSFER_ENCODING);
        let path = head.uri.path();
        head.method == Method::GET && !has_body && (path.starts_with("/media/") || path.starts_with("/api/v1/"))
    }

    fn answer(&self, request: Request) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>> {
        let worker = HERE.with_borrow(Weak::upgrade);
        Box::pin(async move {
            let worker = worker.ok_or_else(|| ApiError::internal("this thread has no proxy"))?;
            let via = Via {
                connection: request.conn_data(),
                slot: request.conn_data(),
            };
            let answer = worker.serve(request.head(), via, None).await?;
            answer.ok_or_else(|| ApiError::internal("no page begins like what is asked of a service"))
        })
    }
}
