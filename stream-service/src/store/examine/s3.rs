//! The doctor at an S3 store: every kind of request that uploads and playback make, on keys of its own.

use crate::store::s3::client::{Client, S3Error, Settings, SettingsError};
use bytes::Bytes;
use common::{config::Config, doctor::Finding, ids::Id};
use std::time::Instant;

const KEY: &str = "store.url";

/// Bytes of the trial objects.
const TRIAL: usize = 64 * 1024;

/// What is tried, one after the other; what follows a failure is not.
pub fn examine(config: &Config) -> Vec<Finding> {
    let wrong = |error: SettingsError| {
        vec![Finding::fail(
            error.key,
            "address",
            error.problem,
            "as the message says",
        )]
    };
    let (settings, prefix) = match Settings::of(&config.store) {
        Ok(settings) => settings,
        Err(error) => return wrong(error),
    };
    let client = match Client::new(settings) {
        Ok(client) => client,
        Err(error) => return wrong(error),
    };
    let trial = Trial {
        key: format!("{prefix}.sluice-doctor/{}", Id::now()),
        content: Bytes::from((0..TRIAL).map(|at| (at % 251) as u8).collect::<Vec<u8>>()),
        client,
        config,
    };
    trial.client.wait(trial.run())
}

struct Trial<'a> {
    key: String,
    content: Bytes,
    client: Client,
    config: &'a Config,
}

impl Trial<'_> {
    async fn run(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let began = Instant::now();
        if let Err(error) = self.client.put(&self.key, self.content.clone()).await {
            return vec![self.failed("put", &error)];
        }
        let took = began.elapsed().as_millis();
        findings.push(Finding::ok(
            KEY,
            "put",
            format!("{} takes objects, in {took} ms", self.client.address()),
        ));
        findings.push(match self.range(&self.key).await {
            Ok(()) => Finding::ok(KEY, "get, range", "work"),
            Err(finding) => *finding,
        });
        findings.push(match self.client.list(&self.key, "", None).await {
            Ok(_) => Finding::ok(KEY, "list", "works"),
            Err(error) => self.failed("list", &error),
        });
        findings.push(self.delete(&self.key).await);
        findings.push(match self.multipart().await {
            Ok(()) => Finding::ok(
                KEY,
                "multipart",
                "uploads begin, go on, are listed, end and are aborted",
            ),
            Err(error) => self.failed("multipart", &error),
        });
        findings
    }

    /// A piece from the middle.
    async fn range(&self, key: &str) -> Result<(), Box<Finding>> {
        let (from, to) = (TRIAL / 2, TRIAL / 2 + 1000);
        let failed = |error: &S3Error| Box::new(self.failed("get", error));
        let mut reading = self
            .client
            .get(key, from as u64..to as u64)
            .await
            .map_err(|error| failed(&error))?;
        let mut piece = Vec::new();
        while let Some(bytes) = reading.next().await {
            let bytes = bytes.map_err(|error| failed(&S3Error::Away(error.to_string())))?;
            piece.extend_from_slice(&bytes);
        }
        if reading.size() == TRIAL as u64 && piece == self.content[from..to] {
            return Ok(());
        }
        Err(Box::new(Finding::fail(
            KEY,
            "range",
            "what is read is not what was written",
            "use a store that answers ranges (RFC 9110 section 14)",
        )))
    }

    async fn delete(&self, key: &str) -> Finding {
        if let Err(error) = self.client.delete(key).await {
            return self.failed("delete", &error);
        }
        match self.client.head(key).await {
            Ok(None) => Finding::ok(KEY, "delete", "works"),
            Ok(Some(_)) => Finding::fail(
                KEY,
                "delete",
                "what was deleted is still there: purges would not be true",
                "switch off what keeps it, such as object lock",
            ),
            Err(error) => self.failed("delete", &error),
        }
    }

    /// One that ends and one that is given up.
    async fn multipart(&self) -> Result<(), S3Error> {
        let client = &self.client;
        let (whole, cut) = (format!("{}-whole", self.key), format!("{}-cut", self.key));
        let id = client.create_multipart(&cut).await?;
        client.upload_part(&cut, &id, 1, self.content.clone()).await?;
        client.list_parts(&cut, &id).await?;
        client.list_multiparts(&cut).await?;
        client.abort(&cut, &id).await?;
        let id = client.create_multipart(&whole).await?;
        let part = client.upload_part(&whole, &id, 1, self.content.clone()).await;
        let ended = match part {
            Ok(part) => client.complete(&whole, &id, &[(1, part)]).await,
            Err(error) => client.abort(&whole, &id).await.and(Err(error)),
        };
        ended?;
        client.delete(&whole).await
    }

    /// Which setting it is, as far as the store tells.
    fn failed(&self, check: &'static str, error: &S3Error) -> Finding {
        let address = self.client.address();
        let says = format!("{address}: {error}");
        let (key, instead) = match error {
            S3Error::NoBucket => (
                KEY,
                "make the bucket, or write the name of one that is there".to_owned(),
            ),
            S3Error::Away(_) => (
                "store.endpoint",
                format!(
                    "start the store, or write its address; here `{}`",
                    self.config.store.endpoint
                ),
            ),
            S3Error::Full(_) => (KEY, "make room, or raise the quota of the bucket".to_owned()),
            S3Error::Denied { code, text } => denied(code, text, check),
            _ => (KEY, "look at the log of the store".to_owned()),
        };
        Finding::fail(key, check, says, instead)
    }
}

/// What a refusal is about.
fn denied(code: &str, text: &str, check: &str) -> (&'static str, String) {
    let text = text.to_ascii_lowercase();
    match code {
        "InvalidAccessKeyId" => ("store.access_key", "write the name of a key that the store has".into()),
        "SignatureDoesNotMatch" => ("store.secret_key", "write the secret of this key".into()),
        "RequestTimeTooSkewed" => ("clock", "set the clock of this machine, or of the store".into()),
        _ if code == "AuthorizationHeaderMalformed" || text.contains("region") || text.contains("scope") => {
            ("store.region", "write the region as the store calls it".into())
        }
        _ => (
            KEY,
            format!("let this key read, write, list and delete in the bucket; {check} is refused"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::{config::Secret, doctor::Level};
    use s3_server::{Effect, Fault, Options, Server};

    fn config(server: &Server) -> Config {
        let mut config = Config::default();
        config.store.url = "s3://media/some/prefix".into();
        config.store.endpoint = server.endpoint();
        config.store.access_key.clone_from(&server.options.access_key);
        config.store.secret_key = Secret::from(server.options.secret_key.as_str());
        config
    }

    fn failures(config: &Config) -> Vec<(String, &'static str)> {
        let findings = examine(config).into_iter();
        findings
            .filter(|finding| finding.level == Level::Fail)
            .map(|finding| (finding.key, finding.check))
            .collect()
    }

    /// Files of objects and of unfinished uploads.
    fn left(server: &Server) -> usize {
        let mut folders = vec![server.folder().to_owned()];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files += 1;
                }
            }
        }
        files
    }

    #[test]
    fn a_good_bucket_is_found_good_and_left_empty() {
        let server = Server::spawn().unwrap();
        assert_eq!(failures(&config(&server)), []);
        assert_eq!(left(&server), 0);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_setting() {
        let server = Server::spawn().unwrap();
        let wrong = |change: fn(&mut Config), key: &str| {
            let mut config = config(&server);
            change(&mut config);
            assert_eq!(failures(&config), [(key.to_owned(), "put")], "{:?}", examine(&config));
        };
        wrong(|config| config.store.url = "s3://not-there".into(), "store.url");
        wrong(|config| config.store.access_key = "nobody".into(), "store.access_key");
        wrong(
            |config| config.store.secret_key = Secret::from("wrong"),
            "store.secret_key",
        );
    }

    #[test]
    fn rights_that_are_missing_are_told_one_by_one() {
        let server = Server::start(Options::default()).unwrap();
        for (method, has, check) in [
            ("PUT", "", "put"),
            ("GET", "sluice-doctor/", "get"),
            ("DELETE", "", "delete"),
            ("POST", "uploads", "multipart"),
        ] {
            server.heal();
            server.fail(Fault::new(method, Effect::Answer(403, "AccessDenied")).of(has));
            let failed = failures(&config(&server));
            assert!(
                failed.iter().any(|(key, at)| key == "store.url" && *at == check),
                "{method}: {failed:?}"
            );
        }
    }

    #[test]
    fn a_store_that_is_away_is_a_matter_of_its_endpoint() {
        let server = Server::spawn().unwrap();
        let config = config(&server);
        server.stop();
        assert_eq!(failures(&config), [("store.endpoint".to_owned(), "put")]);
    }
}
