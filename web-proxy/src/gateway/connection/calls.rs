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
            connection.inner.borrow_mut().session.finished();
            connection.wake();
        }
    }
}

/// Runs `call` on a task of its own and answers it.
pub(super) fn start(shard: &Rc<Shard>, connection: &Rc<Connection>, call: Call) {
    shard.shared.metrics.calls.inc();
    let weak = Rc::downgrade(connection);
    let in_flight = InFlight(weak.clone());
    let shard = shard.clone();
    let running = async move {
        let outcome = run(&shard, &weak, &call).await;
        if let Some(connection) = weak.upgrade() {
            if outcome.is_err() && is_login(&call) {
                connection.inner.borrow_mut().session.login_failed(call.epoch);
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

/// Within the function's deadline, as part of the client's operation.
async fn run(shard: &Rc<Shard>, connection: &Weak<Connection>, call: &Call) -> Result<String, Refusal> {
    let work = operation::scope(call.request.operation.clone(), perform(shard, connection, call));
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
