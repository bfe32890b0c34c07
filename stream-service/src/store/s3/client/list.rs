//! What lies in the bucket.

use super::{Client, Multipart, error::S3Error, http::Answer, patience::Patience, request::Request, xml};
use hyper::Method;

/// Unfinished multipart uploads that are listed at most: who lists them comes back for the others.
const MAX_MULTIPARTS: usize = 10_000;

/// A stored object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub bytes: u64,
    /// Milliseconds since 1970, by the store's clock.
    pub modified_ms: i64,
}

/// Up to a thousand objects and prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<Listed>,
    /// What keys have up to the delimiter, each once.
    pub prefixes: Vec<String>,
    /// Gets the next page; `None` on the last.
    pub next: Option<String>,
}

impl Client {
    /// A page of the objects whose keys begin with `prefix`, in the order of their keys. With a `delimiter` (not empty), those
    /// that have one behind the prefix are only told as prefixes.
    pub async fn list(&self, prefix: &str, delimiter: &str, token: Option<&str>) -> Result<Page, S3Error> {
        let mut request = Request::new(Method::GET, "")
            .query("list-type", "2")
            .query("prefix", prefix);
        if !delimiter.is_empty() {
            request = request.query("delimiter", delimiter);
        }
        if let Some(token) = token {
            request = request.query("continuation-token", token);
        }
        let answer = self.http.call(request, Patience::READ).await.map_err(of_bucket)?;
        let found: xml::Objects = read(&answer)?;
        let objects = found.contents.into_iter().map(|object| {
            Ok(Listed {
                key: object.key,
                bytes: object.size,
                modified_ms: xml::milliseconds(&object.last_modified)?,
            })
        });
        Ok(Page {
            objects: objects
                .collect::<Result<_, String>>()
                .map_err(|error| S3Error::unreadable(answer.status, error))?,
            prefixes: found.common_prefixes.into_iter().map(|prefix| prefix.prefix).collect(),
            next: found.next_continuation_token.filter(|_| found.is_truncated),
        })
    }

    /// The unfinished multipart uploads of keys that begin with `prefix`, ten thousand at most.
    pub async fn list_multiparts(&self, prefix: &str) -> Result<Vec<Multipart>, S3Error> {
        let (mut all, mut marker) = (Vec::new(), None::<(String, String)>);
        while all.len() < MAX_MULTIPARTS {
            let mut request = Request::new(Method::GET, "")
                .query("prefix", prefix)
                .query("uploads", "");
            if let Some((key, id)) = marker {
                request = request.query("key-marker", key).query("upload-id-marker", id);
            }
            let answer = self.http.call(request, Patience::READ).await.map_err(of_bucket)?;
            let found: xml::Uploads = read(&answer)?;
            for upload in found.uploads {
                all.push(Multipart {
                    initiated_ms: xml::milliseconds(&upload.initiated)
                        .map_err(|error| S3Error::unreadable(answer.status, error))?,
                    key: upload.key,
                    id: upload.upload_id,
                });
            }
            marker = found
                .next_key_marker
                .map(|key| (key, found.next_upload_id_marker.unwrap_or_default()));
            if !found.is_truncated || marker.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

/// A list has no key that could be missing.
fn of_bucket(error: S3Error) -> S3Error {
    if error == S3Error::Missing {
        S3Error::NoBucket
    } else {
        error
    }
}

pub fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, S3Error> {
    xml::read(&answer.document).map_err(|error| S3Error::unreadable(answer.status, error))
}
