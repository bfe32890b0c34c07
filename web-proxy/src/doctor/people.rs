//! Whom people ask for, and who they are, as it arrives behind all that stands in front.

use common::config::Config;
use common::doctor::Finding;
use common::doctor::seen::{self, Seen};

use super::probe::Site;
use super::{NGINX_HOST, URL};

const NGINX_FORWARDED: &str = "nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

/// Whom people ask for, and who they are, as it arrives.
pub(super) fn people(site: &Site, config: &Config, server: Option<&str>) -> Vec<Finding> {
    if config.secrets.internal_token.is_empty() {
        return vec![Finding::warn(
            "secrets.internal_token",
            "host and client",
            "is not known here: what arrives of people's addresses can't be asked",
            "run the doctor with the configuration of the site",
        )];
    }
    let edge = match see(site, config, seen::SEEN) {
        Ok(edge) => edge,
        Err(finding) => return vec![*finding],
    };
    let mut findings = vec![host(site, &edge), client(&edge, config, server)];
    if let Ok(api) = see(site, config, seen::SEEN_BY_API) {
        findings.extend(behind(&edge, &api));
    }
    findings
}

fn see(site: &Site, config: &Config, path: &str) -> Result<Seen, Box<Finding>> {
    let proof = seen::authorization(&config.secrets.internal_token);
    let unseen = |says: String| {
        Box::new(Finding::warn(
            "secrets.internal_token",
            "host and client",
            says,
            "run the doctor with the configuration of the site, and with clocks that agree",
        ))
    };
    let headers = [
        ("Connection", "close"),
        ("Content-Length", "0"),
        ("Authorization", &proof),
    ];
    match site.ask("POST", path, &headers, b"") {
        Ok(answer) if answer.status == 200 => {
            serde_json::from_slice(&answer.body).map_err(|error| unseen(format!("{path} can't be read: {error}")))
        }
        Ok(answer) => Err(unseen(format!(
            "{path} answers {}: the site has another token, or another version than this doctor",
            answer.shown()
        ))),
        Err(error) => Err(unseen(error)),
    }
}

fn host(site: &Site, seen: &Seen) -> Finding {
    let default = if site.https { ":443" } else { ":80" };
    let bare = |authority: &str| {
        authority
            .strip_suffix(default)
            .unwrap_or(authority)
            .to_ascii_lowercase()
    };
    if bare(&seen.host) == bare(&site.authority) {
        return Finding::ok(URL, "host", format!("arrives as {}", seen.host));
    }
    let says = format!(
        "people ask for {}, and the site is asked for {}",
        site.authority, seen.host
    );
    if seen.public_url.eq_ignore_ascii_case(&site.origin()) {
        return Finding::warn(URL, "host", says, format!("pass Host on; {NGINX_HOST}"));
    }
    Finding::fail(
        "server.public_url",
        "host",
        format!("{says}: browsers' WebSockets are refused"),
        format!(
            "pass Host on ({NGINX_HOST}), or write server.public_url = \"{}\"",
            site.origin()
        ),
    )
}

fn client(seen: &Seen, config: &Config, server: Option<&str>) -> Finding {
    const KEY: &str = "server.trusted_proxies";
    let forwarded = seen.forwarded_for.join(", ");
    let everybody = config.server.trusted_proxies.iter().any(|block| block.ends_with("/0"));
    if everybody {
        return Finding::fail(
            KEY,
            "client",
            "trusts every address: anybody chooses whom the limits count",
            format!("write the proxy's address alone, here \"{}\"", seen.peer),
        );
    }
    if forwarded.is_empty() {
        return match server {
            Some(server) => Finding::warn(
                KEY,
                "client",
                format!(
                    "{server} stands in front and does not say whom it serves: all people are {}",
                    seen.client
                ),
                NGINX_FORWARDED,
            ),
            None => Finding::ok(
                KEY,
                "client",
                format!("nothing stands in front; this machine is {}", seen.client),
            ),
        };
    }
    // (Somebody at the proxy's own machine has the proxy's address, and is believed.)
    if !seen.peer_trusted {
        return Finding::fail(
            KEY,
            "client",
            format!(
                "X-Forwarded-For: {forwarded} is not believed: all people are {}, with one limit",
                seen.peer
            ),
            format!("write server.trusted_proxies = [\"{}\"]", seen.peer),
        );
    }
    Finding::ok(
        KEY,
        "client",
        format!("this machine is {}, through {}", seen.client, seen.peer),
    )
}

/// Whether a service behind the edge takes the edge's word for who asks.
fn behind(edge: &Seen, api: &Seen) -> Option<Finding> {
    const KEY: &str = "server.trusted_proxies";
    if edge.client == api.client {
        return (edge.peer != api.peer).then(|| Finding::ok(KEY, "client, behind the edge", api.client));
    }
    Some(Finding::fail(
        KEY,
        "client, behind the edge",
        format!(
            "api-service takes everybody for the edge, {}: people share one limit",
            api.client
        ),
        format!(
            "write server.trusted_proxies = [\"{}\"] for the services behind the edge",
            api.peer
        ),
    ))
}
