//! Requests that are answered before the App sees them: its routing, extractors and boxed futures cost as much as sending
//! 100 KiB does. What surrounds a request (operation id, Host, panic, failures, log, metrics) is the same (`request`).

use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Request, RequestHead, Response};
use actix_service::{Service, ServiceFactory};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use futures_util::future::{Either, FutureExt, LocalBoxFuture, Map};

use super::Connection;
use crate::error::ApiError;
use crate::plain::PlainHandler;
use crate::request::{self, Context};
use crate::slot::SlotHandle;

/// A handler in front of the App.
pub trait DirectHandler: Send + Sync {
    /// Whether this request is its own. What it leaves goes to the App, which must have a route for every other spelling of the
    /// same address.
    fn wants(&self, head: &RequestHead) -> bool;

    /// Answers as a handler of the App would.
    fn answer(&self, request: Request) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>>;
}

/// A handler for all workers.
#[derive(Clone)]
pub enum Direct {
    /// For requests that the framework has decoded.
    Framework(Arc<dyn DirectHandler>),
    /// Also for those that it need not see (see `fast`).
    Plain(Arc<dyn PlainHandler>),
}

impl Direct {
    pub(super) fn plain(&self) -> Option<Arc<dyn PlainHandler>> {
        match self {
            Direct::Plain(handler) => Some(handler.clone()),
            Direct::Framework(_) => None,
        }
    }

    fn handler(self) -> Arc<dyn DirectHandler> {
        match self {
            Direct::Framework(handler) => handler,
            Direct::Plain(handler) => Arc::new(Carried(handler)),
        }
    }
}

/// A plain handler behind the framework's decoder.
struct Carried(Arc<dyn PlainHandler>);

impl DirectHandler for Carried {
    fn wants(&self, head: &RequestHead) -> bool {
        self.0.wants(&head.into())
    }

    fn answer(&self, request: Request) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>> {
        let handler = self.0.clone();
        Box::pin(async move {
            if let Some(connection) = request.conn_data::<Connection>() {
                connection.outlast_half_close();
            }
            let slot = request.conn_data::<SlotHandle>();
            let answer = handler.answer(request.head().into(), slot.is_some()).await?;
            Ok(answer.into_response(slot))
        })
    }
}

/// The App with handlers before it.
pub(super) struct Before<F> {
    app: F,
    direct: Vec<Arc<dyn DirectHandler>>,
    context: Context,
}

impl<F> Before<F> {
    pub fn new(app: F, direct: &[Direct], context: Context) -> Self {
        let direct = direct.iter().cloned().map(Direct::handler).collect();
        Before { app, direct, context }
    }
}

pub(super) struct BeforeService<S> {
    app: S,
    direct: Vec<Arc<dyn DirectHandler>>,
    context: Rc<Context>,
}

type Answer<E> = Result<Response<BoxBody>, E>;

impl<F> ServiceFactory<Request> for Before<F>
where
    F: ServiceFactory<Request, Config = ()>,
    F::Response: Into<Response<BoxBody>>,
    F::Future: 'static,
    F::Service: 'static,
    F::InitError: 'static,
    F::Error: 'static,
{
    type Response = Response<BoxBody>;
    type Error = F::Error;
    type Config = ();
    type Service = BeforeService<F::Service>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (making, direct, context) = (
            self.app.new_service(()),
            self.direct.clone(),
            Rc::new(self.context.clone()),
        );
        Box::pin(async move {
            Ok(BeforeService {
                app: making.await?,
                direct,
                context,
            })
        })
    }
}

impl<S> Service<Request> for BeforeService<S>
where
    S: Service<Request>,
    S::Response: Into<Response<BoxBody>>,
    S::Error: 'static,
{
    type Response = Response<BoxBody>;
    type Error = S::Error;
    type Future = Either<
        LocalBoxFuture<'static, Answer<S::Error>>,
        Map<S::Future, fn(Result<S::Response, S::Error>) -> Answer<S::Error>>,
    >;

    actix_service::forward_ready!(app);

    fn call(&self, request: Request) -> Self::Future {
        match self.direct.iter().find(|direct| direct.wants(request.head())) {
            Some(direct) => {
                let answer = request::serve_direct(self.context.clone(), direct.clone(), request);
                Either::Left(Box::pin(answer.map(Ok)))
            }
            None => Either::Right(self.app.call(request).map(|answer| answer.map(Into::into))),
        }
    }
}
