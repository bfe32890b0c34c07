//! What a listener for people saw of a request, for the doctor only: whether the proxies in front pass on whom people asked for and
//! who they are. It tells addresses, so it answers whoever shows that he has the internal token (by a MAC that is good for
//! minutes, never the token itself); to everybody else there is nothing at this address.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header::{self, CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::config::{Config, ConfigError, Secret};
use crate::error::{ApiError, Code};
use crate::http::{resource, same_secret};
use crate::net::TrustedProxies;
use crate::plain::Fields;
use crate::time::Timestamp;

/// Answered by the process that people reach: the edge, or the embedded one.
pub const SEEN: &str = "/healthz/seen";

/// Answered by api-service, in scaled mode behind the edge.
pub const SEEN_BY_API: &str = "/api/v1/healthz/seen";

/// The scheme of the `Authorization` that asks.
const SCHEME: &str = "Sluice-Doctor ";

/// How far the clocks of the doctor and the service may be apart, milliseconds.
const GOOD_FOR_MS: i64 = 5 * 60_000;

/// What was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The `Host` that arrived.
    pub host: String,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether `server.trusted_proxies` has it.
    pub peer_trusted: bool,
    /// Who the request is counted for.
    pub client: IpAddr,
    /// `X-Forwarded-For` as it arrived.
    pub forwarded_for: Vec<String>,
    /// `server.public_url` of the process that answers.
    pub public_url: String,
    pub version: String,
}

/// The route at `path`. `key` is `server.trusted_proxies` parsed.
pub fn route(path: &str, config: &Config) -> Result<impl Fn() -> Resource + Send + Sync + use<>, ConfigError> {
    let proxies = TrustedProxies::parse(&config.server.trusted_proxies)?;
    let (token, public_url) = (config.secrets.internal_token.clone(), config.server.public_url.clone());
    let path = path.to_owned();
    Ok(move || {
        let (proxies, token, public_url) = (proxies.clone(), token.clone(), public_url.clone());
        resource(&path)
            .get(|| std::future::ready(Err::<HttpResponse, _>(nothing())))
            // Not a GET: those may come from the edge by another way (`near`) than what has limits for each client.
            .post(move |request: HttpRequest| {
                let answer = see(&request, &proxies, &token, &public_url);
                std::future::ready(answer)
            })
            .done()
    })
}

fn nothing() -> ApiError {
    ApiError::new(Code::NotFound, "There is nothing at this address.")
}

fn see(
    request: &HttpRequest,
    proxies: &TrustedProxies,
    token: &Secret,
    public_url: &str,
) -> Result<HttpResponse, ApiError> {
    let text = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let shown = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix(SCHEME));
    if !shown.is_some_and(|proof| proves(proof, token, Timestamp::now())) {
        return Err(nothing());
    }
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let forwarded = request.headers().get_all("x-forwarded-for");
    let seen = Seen {
        host: text(header::HOST).unwrap_or_default().to_owned(),
        peer: peer.to_canonical(),
        peer_trusted: proxies.trusts(peer),
        client: proxies.client(peer, Fields::Map(request.headers())),
        forwarded_for: forwarded
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect(),
        public_url: public_url.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut answer = HttpResponse::Ok().json(seen);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// The `Authorization` that opens it.
#[must_use]
pub fn authorization(token: &Secret) -> String {
    let now = Timestamp::now().0.to_string();
    format!("{SCHEME}{now}.{}", mac(token, &now))
}

fn proves(proof: &str, token: &Secret, now: Timestamp) -> bool {
    let Some((at, shown)) = proof.split_once('.') else {
        return false;
    };
    let fresh = at
        .parse::<i64>()
        .is_ok_and(|at| at.abs_diff(now.0) <= GOOD_FOR_MS.unsigned_abs());
    fresh && !token.is_empty() && same_secret(shown, &mac(token, at))
}

fn mac(token: &Secret, at: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).expect("a key has any length");
    mac.update(b"sluice doctor\n");
    mac.update(at.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_token_proves_it_and_not_for_long() {
        let token = Secret::from("0123456789abcdef0123456789abcdef");
        let proof = authorization(&token);
        let proof = proof.strip_prefix(SCHEME).unwrap();
        let now = Timestamp::now();
        assert!(proves(proof, &token, now));
        assert!(!proof.contains(token.expose()));
        assert!(!proves(proof, &Secret::from("another token of thirty-two chars"), now));
        assert!(!proves(proof, &token, Timestamp(now.0 + GOOD_FOR_MS + 60_000)));
        assert!(!proves("", &token, now) && !proves("1.x", &token, now));
        let (at, mac) = proof.split_once('.').unwrap();
        let later = at.parse::<i64>().unwrap() + 1;
        assert!(!proves(&format!("{later}.{mac}"), &token, now));
        assert!(!proves(
            &authorization(&Secret::default())[SCHEME.len()..],
            &Secret::default(),
            now
        ));
    }
}
