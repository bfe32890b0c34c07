//! Requests that are answered before the App sees them: its routing, extractors and boxed futures cost as much as sending
//! 100 KiB does. What surrounds a request (operation id, Host, panic, failures, log, metrics) is the same (`request`).

use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Request, Response};
use actix_service::{Service, ServiceFactory};
use actix_web::body::BoxBody;
use futures_util::future::{Either, FutureExt, LocalBoxFuture, Map};

use crate::plain::{PlainHandler, PlainRequest};
use crate::request::{self, Context};

/// A handler for all workers.
pub type Direct = Arc<dyn PlainHandler>;

/// The App with handlers before it.
pub(super) struct Before<F> {
    app: F,
    direct: Rc<[Direct]>,
    context: Context,
}

impl<F> Before<F> {
    pub fn new(app: F, direct: &[Direct], context: Context) -> Self {
        let direct = direct.into();
        Before { app, direct, context }
    }
}

pub(super) struct BeforeService<S> {
    app: S,
    direct: Rc<[Direct]>,
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
        let plain = PlainRequest::from(request.head());
        match self.direct.iter().find(|direct| direct.wants(&plain)) {
            Some(direct) => {
                let answer = request::serve_direct(self.context.clone(), direct.clone(), request);
                Either::Left(Box::pin(answer.map(Ok)))
            }
            None => Either::Right(self.app.call(request).map(|answer| answer.map(Into::into))),
        }
    }
}
