//! Whom a limit counts: the user of a grant, or where the request came from.

use common::ids::Id;
use serde::Serialize;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use utoipa::ToSchema;
use uuid::Uuid;

/// One counted party. An IPv6 customer gets a /64 at least, so single addresses of it mean nothing. As text, which is also its
/// key in the database, it is `user:<uuid>`, `v4:<address>` or `v6:<network>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientKey {
    User(Uuid),
    V4([u8; 4]),
    V6([u8; 8]),
}

impl ClientKey {
    /// The user when the grant names one, else the network of `address` (already taken through the trusted proxies).
    pub fn of(user: Option<&Id>, address: IpAddr) -> Self {
        user.and_then(|id| Uuid::try_parse(id.as_str()).ok())
            .map_or_else(|| Self::of_address(address), Self::User)
    }

    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => Self::V6(network(v6)),
        }
    }
}

/// A client as operators see it: one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownClient {
    #[serde(rename = "userID", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// An IPv4 address, or an IPv6 network such as `2001:db8::/64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

impl ClientKey {
    pub fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }

    pub fn shown(&self) -> ShownClient {
        let (user, network) = match self {
            Self::User(id) => (Some(id.to_string()), None),
            Self::V4(octets) => (None, Some(Ipv4Addr::from(*octets).to_string())),
            Self::V6(prefix) => (None, Some(format!("{}/64", first_address(prefix)))),
        };
        ShownClient { user, network }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::V4(octets) => write!(f, "v4:{}", Ipv4Addr::from(*octets)),
            Self::V6(prefix) => write!(f, "v6:{}", first_address(prefix)),
        }
    }
}

impl FromStr for ClientKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, rest) = text.split_once(':').ok_or(())?;
        match kind {
            "user" => Uuid::try_parse(rest).map(Self::User).map_err(drop),
            "v4" => rest.parse().map(|v4: Ipv4Addr| Self::V4(v4.octets())).map_err(drop),
            "v6" => rest.parse().map(|v6| Self::V6(network(v6))).map_err(drop),
            _ => Err(()),
        }
    }
}

fn first_address(prefix: &[u8; 8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(prefix);
    Ipv6Addr::from(octets)
}

fn network(address: Ipv6Addr) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&address.octets()[..8]);
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> ClientKey {
        ClientKey::of(None, address.parse().unwrap())
    }

    #[test]
    fn addresses_are_grouped_as_networks_are_given_out() {
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::9"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
    }

    #[test]
    fn a_user_counts_wherever_they_are() {
        let user = Id::now();
        let home = ClientKey::of(Some(&user), "192.0.2.1".parse().unwrap());
        assert_eq!(home, ClientKey::of(Some(&user), "2001:db8::1".parse().unwrap()));
        assert_ne!(home, key("192.0.2.1"));
    }

    #[test]
    fn the_text_is_read_back_and_of_letters_that_need_no_quotes() {
        let user = ClientKey::of(Some(&Id::now()), "192.0.2.1".parse().unwrap());
        for client in [user, key("192.0.2.1"), key("2001:db8:0:1::9"), key("::1")] {
            let text = client.to_string();
            assert_eq!(text.parse(), Ok(client));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-');
            assert!(text.chars().all(plain), "{text}");
        }
        assert_eq!(key("2001:db8:0:1::9").shown().network.unwrap(), "2001:db8:0:1::/64");
        for text in ["", "user", "user:x", "v4:1", "v9:1"] {
            assert_eq!(text.parse::<ClientKey>(), Err(()), "{text}");
        }
    }
}
