//! Who the client is when proxies stand between: its address is taken from `X-Forwarded-For` through configured trusted
//! proxies only, from the right. And whom it asked: the Host, checked.

mod host;

pub use host::host;
pub(crate) use host::is_host;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::http::header::HeaderName;
use ipnet::IpNet;

use crate::config::ConfigError;
use crate::plain::Fields;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Hops looked at from the right; a longer chain of trusted proxies is a loop or a forgery.
const MAX_HOPS: usize = 16;

/// Stands for the peer of a connection through a Unix socket ([`near`](crate::near)): no TCP connection comes from here. Who reaches such
/// a socket has the right to, and is believed.
pub const NEAR: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// A peer as the log shows it.
pub(crate) fn shown(peer: Option<SocketAddr>) -> String {
    match peer {
        Some(NEAR) => "unix".to_owned(),
        Some(peer) => peer.ip().to_string(),
        None => String::new(),
    }
}

/// The address blocks whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// What `server.trusted_proxies` says: each text is a CIDR block or a single address.
    pub fn parse(texts: &[String]) -> Result<Self, ConfigError> {
        let parse = |text: &String| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| {
                    let error = format!("`{text}` is not an address block like \"10.0.0.0/8\"");
                    ConfigError::new("server.trusted_proxies", error)
                })
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(TrustedProxies)
    }

    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|block| block.contains(&address))
    }

    /// The client of a request that came from `peer`: the first address from the right that is not a trusted proxy.
    #[must_use]
    pub fn client(&self, peer: IpAddr, fields: Fields<'_>) -> IpAddr {
        let mut client = peer.to_canonical();
        let is_near = client == NEAR.ip();
        let hops = fields.texts(&FORWARDED_FOR).rev().flat_map(|field| field.rsplit(','));
        for (passed, hop) in hops.take(MAX_HOPS).enumerate() {
            if !(self.trusts(client) || is_near && passed == 0) {
                break;
            }
            let Some(address) = parse_hop(hop.trim()) else { break };
            client = address;
        }
        client
    }
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').split(']').next()?;
    let address = text
        .parse()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|a| a.ip()))
        .or_else(|_| bare.parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    fn check(trusted: &[&str], peer: &str, forwarded: &[&str], expected: &str) {
        let trusted: Vec<String> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let client = TrustedProxies::parse(&trusted)
            .unwrap()
            .client(peer.parse().unwrap(), Fields::Map(&headers));
        assert_eq!(client, expected.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn only_trusted_proxies_are_believed_from_the_right() {
        // By a Unix socket: the edge's word is taken, and nobody else's by that.
        check(&[], "::", &["6.6.6.6, 9.9.9.9"], "9.9.9.9");
        check(&["9.9.9.9"], "::", &["6.6.6.6, 9.9.9.9"], "6.6.6.6");
        check(&[], "::", &[], "::");
        check(&["9.9.9.9"], "9.9.9.9", &["6.6.6.6, ::"], "::");
        check(&[], "1.1.1.1", &["9.9.9.9"], "1.1.1.1");
        check(&["10.0.0.0/8"], "10.0.0.1", &["9.9.9.9"], "9.9.9.9");
        check(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.0.0.2"], "9.9.9.9");
        check(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6", "9.9.9.9"], "9.9.9.9");
        check(&["10.0.0.0/8"], "10.0.0.1", &["evil, 10.0.0.2"], "10.0.0.2");
        check(
            &["10.0.0.0/8"],
            "::ffff:10.0.0.1",
            &["[2001:db8::1]:443"],
            "2001:db8::1",
        );
        check(&["10.0.0.1"], "10.0.0.1", &["8.8.8.8:1234"], "8.8.8.8");
        check(&["10.0.0.1"], "10.0.0.1", &[], "10.0.0.1");
        assert!(TrustedProxies::parse(&["10.0.0.0/99".into()]).is_err());
    }
}
