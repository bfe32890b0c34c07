//! Whom a limit counts: the user of a grant, or where the request came from.

use common::ids::Id;
use std::net::{IpAddr, Ipv6Addr};
use uuid::Uuid;

/// One counted party. An IPv6 customer gets a /64 at least, so single addresses of it mean nothing.
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
}
