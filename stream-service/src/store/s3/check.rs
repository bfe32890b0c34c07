//! What a start asks of the bucket: is it there, do the credentials hold, may everything be done that will be needed?

use super::{client::S3Error, place::S3Store};
use crate::store::Unusable;
use bytes::Bytes;
use common::ids::Id;
use log::warn;
use std::time::{Duration, Instant};

/// How long a store may take to come up beside us.
const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(500);

impl S3Store {
    /// Writes, reads and removes a small object and begins and ends a multipart upload, below the prefix. A store that can't be
    /// reached is asked again for ten seconds.
    pub fn check(&self) -> Result<(), Unusable> {
        let until = Instant::now() + PATIENCE;
        let key = format!("{}start-{}", self.names().root(), Id::now());
        loop {
            match self.client().wait(self.try_all(&key)) {
                Ok(()) => return Ok(()),
                Err((_, S3Error::Away(text))) if Instant::now() < until => {
                    warn!("store.endpoint: {}: {text}; trying again", self.client().address());
                    std::thread::sleep(PAUSE);
                }
                Err((what, error)) => return Err(unusable(&self.client().address(), what, error)),
            }
        }
    }

    async fn try_all(&self, key: &str) -> Result<(), (&'static str, S3Error)> {
        let client = self.client();
        let at = |what: &'static str| move |error| (what, error);
        client.list(self.names().root(), "/", None).await.map_err(at("list"))?;
        client
            .put(key, Bytes::from_static(b"sluice"))
            .await
            .map_err(at("write to"))?;
        let read = client.head(key).await.map_err(at("read"));
        client.delete(key).await.map_err(at("delete from"))?;
        if read? != Some(6) {
            let text = "what was written does not come back".to_owned();
            return Err(("read", S3Error::Away(text)));
        }
        client.create_multipart(key).await.map_err(at("begin uploads in"))?;
        // One whose answer was lost is among them.
        let begun = client.list_multiparts(key).await;
        for upload in begun.map_err(at("list the uploads of"))? {
            client
                .abort(&upload.key, &upload.id)
                .await
                .map_err(at("end uploads in"))?;
        }
        Ok(())
    }
}

/// Names the key that is to be looked at first.
fn unusable(address: &str, what: &str, error: S3Error) -> Unusable {
    let (key, problem) = match &error {
        S3Error::NoBucket => (
            "store.url",
            format!("{address}: there is no such bucket; create it, or correct the name"),
        ),
        S3Error::Denied { code, text } => match code.as_str() {
            "InvalidAccessKeyId" | "InvalidAccessKey" => ("store.access_key", format!("{address}: {error}")),
            "SignatureDoesNotMatch" => ("store.secret_key", format!("{address}: {error}")),
            "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" | "PermanentRedirect" => {
                ("store.region", format!("{address}: {error}"))
            }
            "RequestTimeTooSkewed" => (
                "store.endpoint",
                format!("{address}: {error}; set the clock of this machine"),
            ),
            // Garage has one code for all of them.
            _ if has(text, "invalid signature") => ("store.secret_key", format!("{address}: {error}")),
            _ if has(text, "no such key") => ("store.access_key", format!("{address}: {error}")),
            _ => ("store.url", format!("may not {what} {address}: {error}")),
        },
        S3Error::Away(_) => ("store.endpoint", format!("{address}: {error}")),
        S3Error::Missing
        | S3Error::Full(_)
        | S3Error::NoSuchUpload
        | S3Error::BadDigest(_)
        | S3Error::InvalidPart(_)
        | S3Error::Changed
        | S3Error::Other { .. } => ("store.url", format!("can't {what} {address}: {error}")),
    };
    Unusable { key, problem }
}

/// Whether the store's text says it, in whatever case.
fn has(text: &str, wanted: &str) -> bool {
    text.to_ascii_lowercase().contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_that_is_wrong() {
        for (code, text, key) in [
            ("InvalidAccessKeyId", "", "store.access_key"),
            ("SignatureDoesNotMatch", "", "store.secret_key"),
            ("AuthorizationHeaderMalformed", "", "store.region"),
            // As Garage 2.5 has it.
            ("AccessDenied", "Forbidden: Invalid signature", "store.secret_key"),
            ("AccessDenied", "Forbidden: No such key: GK01", "store.access_key"),
            ("AccessDenied", "Operation is not allowed for this key.", "store.url"),
        ] {
            let (code, text) = (code.to_owned(), text.to_owned());
            let error = S3Error::Denied { code, text };
            assert_eq!(unusable("http://s3/media", "write to", error).key, key);
        }
    }
}
