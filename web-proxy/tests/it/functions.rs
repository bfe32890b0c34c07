//! The functions of the gateway: what they ask of api-service, what they answer, and how they fail.

mod failures;
mod input;
mod list;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use common::ids::Id;
use common::messages::{Role, TokenOwner};
use common::operation::OperationId;
use common::replicas::Replicas;
use common::time::Timestamp;
use web_proxy::gateway::api::Api;
use web_proxy::gateway::envelope::Refusal;
use web_proxy::gateway::functions::{Caller, Found, Function, Functions, Kind};

/// Long enough for a busy machine; what waits for a deadline sets its own.
const DEADLINE: Duration = Duration::from_secs(20);

fn functions() -> Functions {
    Functions::new(Duration::from_secs(5))
}

fn function(name: &str) -> Arc<Function> {
    match functions().lookup(name) {
        Found::Function(function) => function,
        other => panic!("{name}: {other:?}"),
    }
}

fn caller() -> Caller {
    Caller {
        token: "the-token-of-ann".into(),
        owner: Arc::new(TokenOwner {
            user: Id::now(),
            session: Id::now(),
            username: "ann".into(),
            role: Role::User,
            expires_at: Timestamp::now(),
        }),
        address: "203.0.113.7".parse().unwrap(),
    }
}

fn operation() -> OperationId {
    OperationId::parse("op-1").unwrap()
}

fn api(bases: &[&str]) -> Api {
    let bases: Vec<String> = bases.iter().map(|base| (*base).to_owned()).collect();
    let replicas = Replicas::new("proxy.api", &bases).unwrap();
    Api::new(replicas, Duration::from_secs(3)).unwrap()
}

/// Runs a function that api-service answers.
async fn run_within(api: &Api, name: &str, data: &str, deadline: Duration) -> Result<String, Refusal> {
    let Kind::Api(call) = function(name).kind else {
        panic!("{name} is run by the connection");
    };
    call.run(api, &caller(), data, &operation(), deadline).await
}

async fn run(api: &Api, name: &str, data: &str) -> Result<String, Refusal> {
    run_within(api, name, data, DEADLINE).await
}
