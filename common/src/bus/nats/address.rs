//! Where the broker is and how we show who we are. Everything that can be checked without connecting is checked here; no
//! error and no `Debug` shows a credential.

use std::fmt;

use crate::config::{BusConfig, ConfigError, Secret};

const EXAMPLE: &str = "write local: or nats://HOST:4222 (several: nats://HOST:4222,HOST:4222; credentials in bus.user and bus.password, or bus.token)";

/// NATS' own.
const DEFAULT_PORT: u16 = 4222;

/// Servers of one cluster that may be named.
const MAX_SERVERS: usize = 32;

/// Longest `bus.prefix`, in bytes.
const MAX_PREFIX: usize = 64;

/// One server of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerServer {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for BrokerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How we show who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    None,
    Token(Secret),
    User { user: Secret, password: Secret },
}

/// A checked `bus.url` of the scheme `nats:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    pub servers: Vec<BrokerServer>,
    pub credentials: Credentials,
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nats://")?;
        for (place, server) in self.servers.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{server}")?;
        }
        Ok(())
    }
}

impl BrokerAddress {
    /// Reads the section `bus`, whose URL is not `local:`.
    pub fn of(config: &BusConfig) -> Result<BrokerAddress, ConfigError> {
        check_prefix(&config.prefix)?;
        let wrong = |problem: String| ConfigError::new("bus.url", problem);
        let url = config.url.expose();
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong(format!("is not a bus: {EXAMPLE}")));
        };
        match scheme {
            "nats" => {}
            "tls" => {
                return Err(wrong(
                    "tls: this version speaks no TLS to the broker, which belongs on the private network; write nats://HOST:4222".into(),
                ));
            }
            other => return Err(wrong(format!("`{other}` is not a bus: {EXAMPLE}"))),
        }
        let (mut servers, mut inline) = (Vec::new(), None);
        for part in rest.trim_end_matches('/').split(',') {
            let part = part.trim();
            let part = part.strip_prefix("nats://").unwrap_or(part);
            let (userinfo, address) = match part.rsplit_once('@') {
                Some((userinfo, address)) => (Some(userinfo), address),
                None => (None, part),
            };
            if let Some(userinfo) = userinfo {
                inline = Some(in_url(userinfo).map_err(&wrong)?);
            }
            servers.push(server(address).map_err(&wrong)?);
        }
        if servers.len() > MAX_SERVERS {
            return Err(wrong(format!("names more than {MAX_SERVERS} servers")));
        }
        let credentials = match (inline, in_settings(config)?) {
            (None, set) => set,
            (Some(inline), Credentials::None) => inline,
            (Some(_), _) => {
                return Err(wrong(
                    "has credentials, and so have bus.user or bus.token: keep one".into(),
                ));
            }
        };
        Ok(BrokerAddress { servers, credentials })
    }
}

/// Tokens of letters, digits, hyphens and underscores with dots between them: no wildcard, nothing that ends a line.
fn check_prefix(prefix: &str) -> Result<(), ConfigError> {
    let token =
        |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if prefix.len() <= MAX_PREFIX && prefix.split('.').all(token) {
        return Ok(());
    }
    Err(ConfigError::new(
        "bus.prefix",
        format!(
            "`{prefix}` is not the beginning of subjects: letters, digits, - and _, dots between, at most {MAX_PREFIX}; for example sluice"
        ),
    ))
}

fn server(address: &str) -> Result<BrokerServer, String> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("has a [ without ]")?,
        None => address.find(':').map_or((address, ""), |colon| address.split_at(colon)),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => DEFAULT_PORT,
        // Not shown: with a forgotten @ it is a password.
        Some(port) => port
            .parse()
            .map_err(|_| format!("has a port that is no number: {EXAMPLE}"))?,
        None => return Err(format!("has something behind the ]: {EXAMPLE}")),
    };
    let known = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(known) {
        // It may be half of a password with an @ in it.
        return Err(format!(
            "names no host: {EXAMPLE}; special characters of a password as %XX"
        ));
    }
    Ok(BrokerServer {
        host: host.to_owned(),
        port,
    })
}

fn in_settings(config: &BusConfig) -> Result<Credentials, ConfigError> {
    let (token, user, password) = (&config.token, &config.user, &config.password);
    match (token.is_empty(), user.is_empty(), password.is_empty()) {
        (true, true, true) => Ok(Credentials::None),
        (false, true, true) => Ok(Credentials::Token(token.clone())),
        (true, false, false) => Ok(Credentials::User {
            user: user.clone(),
            password: password.clone(),
        }),
        (true, false, true) => Err(ConfigError::new("bus.password", "is missing: bus.user is set")),
        (true, true, false) => Err(ConfigError::new("bus.user", "is missing: bus.password is set")),
        (false, ..) => Err(ConfigError::new(
            "bus.token",
            "is set, and so is bus.user or bus.password: keep one",
        )),
    }
}

/// `user:password`, or a token alone.
fn in_url(userinfo: &str) -> Result<Credentials, String> {
    match userinfo.split_once(':') {
        Some((user, password)) => Ok(Credentials::User {
            user: decode(user)?.into(),
            password: decode(password)?.into(),
        }),
        None => Ok(Credentials::Token(decode(userinfo)?.into())),
    }
}

/// `%XX` to the byte it stands for (RFC 3986 section 2.1).
fn decode(text: &str) -> Result<String, String> {
    let wrong = || "has credentials that are no text with %XX".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> BusConfig {
        BusConfig {
            url: url.into(),
            ..BusConfig::default()
        }
    }

    #[test]
    fn urls() {
        let user = |user: &str, password: &str| Credentials::User {
            user: user.into(),
            password: password.into(),
        };
        for (url, shown, credentials) in [
            ("nats://bus", "nats://bus:4222", Credentials::None),
            ("nats://bus:4223/", "nats://bus:4223", Credentials::None),
            ("nats://a:1,b,nats://c:3", "nats://a:1,b:4222,c:3", Credentials::None),
            (
                "nats://[::1]:5,[fe80::1]",
                "nats://[::1]:5,[fe80::1]:4222",
                Credentials::None,
            ),
            (
                "nats://ann:p%40ss:w%2Frd@bus",
                "nats://bus:4222",
                user("ann", "p@ss:w/rd"),
            ),
            (
                "nats://s3cr3t@bus:1",
                "nats://bus:1",
                Credentials::Token("s3cr3t".into()),
            ),
        ] {
            let address = BrokerAddress::of(&config(url)).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(address.credentials, credentials, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_secret() {
        for url in [
            "nats:",
            "nats://",
            "nats://:4222",
            "nats://bus:port",
            "nats://bus:70000",
            "nats://[::1",
            "nats://[::1]x",
            "tls://ann:s3cr3t@bus",
            "redis://ann:s3cr3t@bus",
            "bus:4222",
            "nats://ann:s3cr3t",
            "nats://ann:s3cr3t@",
            "nats://ann:s3cr3t@bus s3cr3t",
            "nats://ann:%zz@bus",
            "nats://ann:%e9@bus",
            "nats://@bus",
        ] {
            let error = BrokerAddress::of(&config(url)).expect_err(url);
            assert_eq!(error.key, "bus.url", "{url}");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
        let error = BrokerAddress::of(&config("tls://bus")).unwrap_err().to_string();
        assert!(error.contains("no TLS"), "{error}");
        for (token, user, password, key) in [
            ("", "ann", "", "bus.password"),
            ("", "", "secret", "bus.user"),
            ("t", "ann", "secret", "bus.token"),
        ] {
            let config = BusConfig {
                token: token.into(),
                user: user.into(),
                password: password.into(),
                ..config("nats://bus")
            };
            assert_eq!(BrokerAddress::of(&config).unwrap_err().key, key);
        }
        for prefix in ["", "a..b", "a b", "a.*", ">", ".a", "a\r\n", &"x".repeat(65)] {
            let config = BusConfig {
                prefix: prefix.into(),
                ..config("nats://bus")
            };
            assert_eq!(BrokerAddress::of(&config).unwrap_err().key, "bus.prefix", "{prefix:?}");
        }
    }
}
