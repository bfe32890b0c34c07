//! Addresses as they are configured, and what names among them stand for now.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use http::Uri;

use super::{MAX_REPLICAS, Replica, Replicas};

/// One address of the configuration.
#[derive(Debug)]
pub(super) struct Base {
    /// `http://host:port`.
    text: String,
    /// What is looked up, `host:port`; none for an address that is one already.
    name: Option<String>,
}

impl Base {
    /// The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not like \"http://host:port\"");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        let host = authority.host();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        Ok(Base {
            text: format!("http://{authority}"),
            name: literal
                .is_err()
                .then(|| format!("{host}:{}", authority.port_u16().unwrap_or(80))),
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Replicas {
    pub(super) fn has_names(&self) -> bool {
        self.0.bases.iter().any(|base| base.name.is_some())
    }

    /// Looks the names up and takes what they stand for now. A name that can't be looked up, or has no address, stands for what
    /// it stood for before.
    pub(super) async fn look_up(&self) {
        let old = self.all();
        let mut bases: Vec<String> = Vec::new();
        for base in &self.0.bases {
            match &base.name {
                None => bases.push(base.text.clone()),
                Some(name) => match tokio::net::lookup_host(name).await {
                    Ok(found) => bases.extend(
                        of_one_kind(found)
                            .into_iter()
                            .map(|address| format!("http://{address}")),
                    ),
                    Err(error) => {
                        log::debug!("{}: {name} can't be looked up: {error}", self.0.key);
                        // Which of the old ones were its own is not known: none is given up.
                        bases.extend(old.iter().map(|replica| replica.base.clone()));
                    }
                },
            }
        }
        self.take(&bases);
    }

    /// The copies at `bases` from now on. Those that were known before stay what they are; those that are gone end with their
    /// last request.
    fn take(&self, bases: &[String]) {
        let old = self.all();
        let mut seen = BTreeSet::new();
        let bases = bases
            .iter()
            .filter(|base| seen.insert(base.as_str()))
            .take(MAX_REPLICAS);
        let new: Arc<[Arc<Replica>]> = bases
            .map(|base| {
                let known = old.iter().find(|replica| replica.base == *base).cloned();
                known.unwrap_or_else(|| Arc::new(Replica::new(base)))
            })
            .collect();
        let names = |all: &[Arc<Replica>]| all.iter().map(|replica| replica.base.clone()).collect::<Vec<_>>();
        if new.is_empty() || names(&new) == names(&old) {
            return;
        }
        log::info!("{} is {} now", self.0.key, names(&new).join(", "));
        *self.0.now.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

/// In order, and IPv6 only where there is no IPv4: a machine with both is one copy, not two, and `localhost` is listened to
/// on one of them.
fn of_one_kind(found: impl Iterator<Item = SocketAddr>) -> BTreeSet<SocketAddr> {
    let (four, six): (BTreeSet<_>, BTreeSet<_>) = found.partition(SocketAddr::is_ipv4);
    if four.is_empty() { six } else { four }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(replicas: &Replicas) -> Vec<String> {
        replicas.all().iter().map(|replica| replica.base.clone()).collect()
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (text, name) in [
            ("http://10.0.0.1:80", None),
            ("http://[::1]:8081", None),
            ("http://api:8081", Some("api:8081")),
            ("http://api", Some("api:80")),
        ] {
            assert_eq!(Base::parse(text).unwrap().name.as_deref(), name, "{text}");
        }
        for wrong in ["api:8081", "https://a:1", "http://", "http://a:1/x", "http://a:1?x"] {
            let problem = Base::parse(wrong).unwrap_err();
            assert!(problem.contains("is not like"), "{wrong}: {problem}");
        }
    }

    #[test]
    fn copies_come_and_go_and_those_that_stay_are_the_same() {
        let replicas = Replicas::new("proxy.api", &["http://api:80".to_owned()]).unwrap();
        let set = |bases: &[&str]| replicas.take(&bases.iter().map(|base| (*base).to_owned()).collect::<Vec<_>>());
        set(&["http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.1:80"]);
        assert_eq!(bases(&replicas), ["http://10.0.0.1:80", "http://10.0.0.2:80"]);
        let second = replicas.all()[1].number();
        let turn = replicas.next(&[]).unwrap();
        set(&["http://10.0.0.2:80", "http://10.0.0.3:80"]);
        assert_eq!(bases(&replicas), ["http://10.0.0.2:80", "http://10.0.0.3:80"]);
        assert_eq!(replicas.all()[0].number(), second);
        turn.answered();
        set(&[]);
        assert_eq!(replicas.all().len(), 2, "no address at all is no answer");
        set(&(0..1000)
            .map(|n| format!("http://h:{n}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>());
        assert_eq!(replicas.all().len(), MAX_REPLICAS);
    }

    #[test]
    fn a_machine_with_two_kinds_of_address_is_one_copy() {
        let kind = |texts: &[&str]| of_one_kind(texts.iter().map(|text| text.parse().unwrap())).len();
        assert_eq!(kind(&["[::1]:80", "127.0.0.1:80", "127.0.0.1:80"]), 1);
        assert_eq!(kind(&["[::1]:80", "[::2]:80"]), 2);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_stays_what_it_was_when_that_fails() {
        let replicas = Replicas::new("proxy.api", &["http://localhost:81".to_owned()]).unwrap();
        assert_eq!(bases(&replicas), ["http://localhost:81"]);
        replicas.look_up().await;
        assert_eq!(bases(&replicas), ["http://127.0.0.1:81"]);
        let nowhere = Replicas::new("proxy.api", &["http://nowhere.invalid:81".to_owned()]).unwrap();
        nowhere.look_up().await;
        assert_eq!(bases(&nowhere), ["http://nowhere.invalid:81"]);
    }
}
