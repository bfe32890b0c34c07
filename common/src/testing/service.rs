//! A real service on free ports of this machine, in the test's own System.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use tokio::task::JoinHandle;

use crate::config::{Config, Secret};
use crate::drain::Drain;
use crate::grant::GrantKey;
use crate::service::{self, Platform, Service, Sockets, StartError};

/// Longest time a service may take to stop in a test.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// The internal token of every test.
pub const INTERNAL_TOKEN: &str = "an-internal-token-for-the-test-suites";

/// A service that serves until [`Running::stop`]; a test that forgets it leaves connections behind and fails.
pub struct Running {
    /// `http://127.0.0.1:port` of the public listener.
    pub public: String,
    /// The same of the internal listener.
    pub internal: String,
    pub config: Config,
    pub platform: Platform,
    served: JoinHandle<std::io::Result<()>>,
}

/// Defaults for a test: free ports, one worker, secrets.
#[must_use]
pub fn test_config() -> Config {
    let mut config = Config::default();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.server.listen = any;
    config.internal.listen = any;
    config.server.workers = 1;
    config.secrets.internal_token = Secret::from(INTERNAL_TOKEN);
    config.secrets.grant_keys = vec![Secret::from(GrantKey::generate("test"))];
    config
}

/// Starts what `start` makes of the configuration. The listeners are bound first, so `start` may be given addresses of
/// services that were spawned before it (`config.internal.api` and so on).
pub async fn spawn<F, Fut>(config: Config, start: F) -> Result<Running, StartError>
where
    F: FnOnce(Config, Platform) -> Fut,
    Fut: Future<Output = Result<Service, StartError>>,
{
    spawn_with_headers(config, Vec::new(), start).await
}

/// [`spawn`] with the headers that every answer gets.
pub async fn spawn_with_headers<F, Fut>(
    config: Config,
    headers: Vec<(HeaderName, HeaderValue)>,
    start: F,
) -> Result<Running, StartError>
where
    F: FnOnce(Config, Platform) -> Fut,
    Fut: Future<Output = Result<Service, StartError>>,
{
    let sockets = Sockets::bind_near(&config)?;
    let (public, internal) = sockets
        .addresses()
        .map_err(|error| StartError::Other(error.to_string()))?;
    let platform = Platform::open(&config, Drain::new()).await?;
    let service = start(config.clone(), platform.clone()).await?;
    let (served_config, served_platform) = (config.clone(), platform.clone());
    let served = tokio::task::spawn_local(async move {
        service::run(&served_config, &served_platform, sockets, vec![service], &headers).await
    });
    Ok(Running {
        public: format!("http://{public}"),
        internal: format!("http://{internal}"),
        config,
        platform,
        served,
    })
}

impl Running {
    /// Drains and waits for the end.
    pub async fn stop(self) {
        self.platform.drain.begin();
        drop(self.platform);
        let ended = tokio::time::timeout(STOP_DEADLINE, self.served).await;
        ended
            .expect("the service stops in time")
            .expect("the service does not panic")
            .expect("the listeners end well");
    }
}
