//! Media in front of the App, as in stream-service: routing and extracting cost as much as relaying 100 KiB does.
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

/// What has no body and is spelled as api-service spells it; all else is the App's, which gives it the same answer.
pub struct DirectMedia;

impl DirectHandler for DirectMedia {
    fn wants(&self, head: &RequestHead) -> bool {
        let has_body =
            head.headers.contains_key(header::CONTENT_LENGTH) || head.headers.contains_key(header::TRANSFER_ENCODING);
        head.method == Method::GET && head.uri.path().starts_with("/media/") && !has_body
    }

    fn answer(&self, request: Request) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>> {
        let worker = HERE.with_borrow(Weak::upgrade);
        Box::pin(async move {
            let worker = worker.ok_or_else(|| ApiError::internal("this thread has no proxy"))?;
            worker.route(request.head())?;
            let via = Via {
                connection: request.conn_data(),
                slot: request.conn_data(),
            };
            worker.media(request.head(), via, None).await
        })
    }
}
