//! What surrounds a request that the framework does not see.

use actix_web::http::Method;

use super::body::{Origin, RequestLog};
use super::failure::{log_api_failure, normalised};
use super::{Context, guarded};
use crate::operation::{self, OperationId};
use crate::plain::{Answer, Body, PlainHandler, PlainRequest};

/// [`super::serve_one`] for a request that the framework does not see. What it sends has to be told to the log.
pub(crate) async fn serve_plain(
    context: &Context,
    handler: &dyn PlainHandler,
    request: PlainRequest<'_>,
) -> (Answer, RequestLog) {
    let id = OperationId::from_fields(request.fields);
    let origin = Origin {
        connection: None,
        slot: None,
    };
    let mut log = RequestLog::begin(&request, id.clone(), context.metrics.clone(), origin);
    let bodyless = *request.method == Method::HEAD;
    let mut answer = operation::scope(id, async move {
        let answered = guarded(handler.answer(request, true)).await;
        normalised(answered.unwrap_or_else(|error| {
            log_api_failure(&error);
            Answer::from(&error)
        }))
    })
    .await;
    if bodyless {
        // Whatever it says, a failure too (RFC 9110 section 9.3.2).
        let length = answer.body.length();
        answer.body = Body::Empty { length };
    }
    log.answered(answer.status);
    context.metrics.http.plain.inc();
    (answer, log)
}
