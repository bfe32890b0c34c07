//! Starting services: all in one process, or one role.

use common::config::Loaded;
use common::process::{Process, run_all, run_one};
use common::service::{Service, StartError};

/// A service that runs alone in its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Api,
    Stream,
    Scheduler,
    Proxy,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Api => "api",
            Role::Stream => "stream",
            Role::Scheduler => "scheduler",
            Role::Proxy => "proxy",
        }
    }

    async fn start(self, process: &Process) -> Result<Service, StartError> {
        let (config, platform) = (&process.config, &process.platform);
        match self {
            Role::Api => api_service::start(config, platform).await,
            Role::Stream => stream_service::start(config, platform).await,
            Role::Scheduler => scheduler_service::start(config, platform).await,
            Role::Proxy => web_proxy::start(config, platform, web_proxy::Mode::Edge).await,
        }
    }
}

/// Everything in this process.
pub fn embedded(loaded: Loaded) -> Result<(), StartError> {
    run_all(loaded, async |process: Process| {
        // In the order in which their routes are tried: /api/v1/jobs and /api/v1/limits lie below /api/v1, and the page takes the
        // rest.
        let services = vec![
            Role::Scheduler.start(&process).await?,
            Role::Stream.start(&process).await?,
            Role::Api.start(&process).await?,
            web_proxy::start(&process.config, &process.platform, web_proxy::Mode::Pages(documents())).await?,
        ];
        let headers = web_proxy::security_headers(&process.config);
        process.serve("Sluice", services, &headers).await
    })
}

/// One service in this process.
pub fn role(loaded: Loaded, role: Role) -> Result<(), StartError> {
    run_one(loaded, role.name(), role != Role::Proxy, async |process: Process| {
        let services = vec![role.start(&process).await?];
        let headers = web_proxy::security_headers(&process.config);
        process.serve(role.name(), services, &headers).await
    })
}

fn documents() -> web_proxy::Documents {
    web_proxy::Documents::from([
        api_service::openapi(),
        stream_service::openapi(),
        scheduler_service::openapi(),
    ])
}
