//! `sluice healthcheck`: what a container or a supervisor asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use common::config::Config;
use common::service::StartError;

const DEADLINE: Duration = Duration::from_secs(3);

/// Asks `/readyz` of `url`, or of the address that the configuration listens on.
pub fn ask(config: &Config, url: Option<String>) -> Result<(), StartError> {
    let base = url.unwrap_or_else(|| format!("http://{}", reachable(config.server.listen)));
    let url = format!("{}/readyz?verbose", base.trim_end_matches('/'));
    actix_web::rt::System::new().block_on(async {
        let failed = |reason: String| StartError::Other(format!("{base} is not ready: {reason}"));
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build();
        let client = client.map_err(|error| failed(error.to_string()))?;
        let response = client
            .get(&url)
            .send()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let ready = response.status().is_success();
        let text = response.text().await.map_err(|error| failed(error.to_string()))?;
        if ready { Ok(()) } else { Err(failed(text)) }
    })
}

/// An address to connect to for one that may mean "all interfaces".
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}
