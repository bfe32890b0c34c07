//! Running what a client asked for, outside of every borrow: a call that waits, panics or never returns is its own affair.
//! A call holds its connection only weakly; who has left is not answered.

mod local;

use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};

use common::error::Code;
use common::operation;
use futures_util::FutureExt;

use super::Connection;
use crate::gateway::envelope::Refusal;
use crate::gateway::functions::{Kind, Local};
use crate::gateway::session::Call;
use crate::gateway::shard::Shard;

/// One of the calls of a connection that may run at the same time, given back when it is dropped.
struct InFlight(Weak<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(connection) = self.0.upgrade() {
            connection.touch().session.finished();
            connection.wake();
        }
    }
}

/// Runs `call` on a task of its own and answers it.
pub(super) fn start(shard: &Rc<Shard>, connection: &Rc<Connection>, call: Call) {
    shard.shared.metrics.calls.inc();
    // At once, so that a login behind it is another one.
    if local::is_plain_logout(&call) {
        connection.log_out(shard);
    }
    let weak = Rc::downgrade(connection);
    let in_flight = InFlight(weak.clone());
    let shard = shard.clone();
    let running = async move {
        let outcome = run(&shard, &weak, &call).await;
        if let Some(connection) = weak.upgrade() {
            if outcome.is_err() && is_login(&call) {
                connection.touch().session.login_failed(call.epoch);
            }
            connection.reply(&call.reply(&outcome));
        }
        drop(in_flight);
    };
    drop(tokio::task::spawn_local(running));
}

fn is_login(call: &Call) -> bool {
    matches!(call.function.kind, Kind::Local(Local::Login))
}

async fn run(shard: &Rc<Shard>, connection: &Weak<Connection>, call: &Call) -> Result<String, Refusal> {
    guarded(call, perform(shard, connection, call)).await
}

/// What comes of `work` within the function's deadline, as part of the client's operation; a panic is a refusal, too.
async fn guarded(call: &Call, work: impl Future<Output = Result<String, Refusal>>) -> Result<String, Refusal> {
    let work = operation::scope(call.request.operation.clone(), work);
    let work = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout(call.function.deadline, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            log::error!(
                operation_id = call.request.operation.as_str();
                "A function panicked: {}: {}", call.function.name, text.unwrap_or("no text")
            );
            Err(Refusal::bad_parameter("The function failed; the log says why."))
        }
        Err(_) => Err(Refusal::of(
            Code::GatewayTimeout,
            format!("No answer within {} ms.", call.function.deadline.as_millis()),
        )),
    }
}

async fn perform(shard: &Rc<Shard>, connection: &Weak<Connection>, call: &Call) -> Result<String, Refusal> {
    match &call.function.kind {
        Kind::Local(function) => local::perform(shard, connection, call, *function).await,
        Kind::Api(function) => {
            let Some(caller) = connection.upgrade().map(|connection| connection.caller.clone()) else {
                return Err(gone());
            };
            let Call { request, .. } = call;
            let questions = function.questions(&request.data);
            shard.shared.efforts.spend(&caller.owner.user, questions)?;
            let deadline = call.function.deadline;
            function
                .run(&shard.api, &caller, &request.data, &request.operation, deadline)
                .await
        }
    }
}

/// Nobody will read it.
fn gone() -> Refusal {
    Refusal::of(Code::Overloaded, "The connection has ended.")
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::gateway::envelope::{DataForm, Request};
    use crate::gateway::functions::{Found, Functions};

    fn call(deadline: Duration) -> Arc<Call> {
        let request = Request::parse(r#"{"reqFuncName":"Ping","operationID":"op"}"#).unwrap();
        let Found::Function(function) = Functions::new(deadline).lookup("Ping") else {
            panic!("there is a Ping")
        };
        Arc::new(Call {
            function,
            request,
            form: DataForm::Object,
            epoch: 1,
        })
    }

    async fn panics(secret: String) -> Result<String, Refusal> {
        tokio::task::yield_now().await;
        panic!("no client may read {secret}")
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_function_that_panics_is_answered_1001_and_the_thread_goes_on() {
        let call = call(Duration::from_secs(20));
        let neighbour = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            Ok("fine".to_owned())
        };
        let both = futures_util::future::join(guarded(&call, panics("this".into())), guarded(&call, neighbour));
        let (failed, fine) = both.await;
        assert_eq!(fine.as_deref(), Ok("fine"));
        assert_eq!(failed.as_ref().unwrap_err().code, 1001);
        let answer = call.reply(&failed);
        assert!(
            answer.contains(r#""operationID":"op""#) && !answer.contains("this"),
            "{answer}"
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_function_that_never_returns_is_answered_at_its_deadline() {
        let deadline = Duration::from_millis(20);
        let (call, began) = (call(deadline), tokio::time::Instant::now());
        let outcome = guarded(&call, pending()).await;
        assert_eq!(outcome.unwrap_err().code, Code::GatewayTimeout.entry().number);
        assert!(began.elapsed() >= deadline);
    }
}
