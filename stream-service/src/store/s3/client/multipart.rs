//! Multipart uploads: an object that is sent in parts and appears when they are put together.

use super::{
    Client,
    error::S3Error,
    list::read,
    patience::{Attempts, Patience},
    request::Request,
    xml,
};
use bytes::Bytes;
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Least bytes of every part but the last (Amazon's rule; s3s-fs and Garage have it too).
pub const MIN_PART: u64 = 5 << 20;

/// Most bytes of a part.
pub const MAX_PART: u64 = 5 << 30;

/// Largest number of a part; the smallest is 1.
pub const MAX_PARTS: u32 = 10_000;

/// How often an object is looked for whose upload is over.
const LOOK: Duration = Duration::from_millis(250);

/// What names a part when they are put together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// As the store gave it, with its quotes.
    pub etag: String,
    pub crc32c: u32,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    pub number: u32,
    pub bytes: u64,
    pub etag: String,
}

/// An upload that is neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    pub key: String,
    pub id: String,
    /// Milliseconds since 1970, by the store's clock.
    pub initiated_ms: i64,
}

impl Client {
    /// Begins an upload and gives its id. A repetition may leave one that nobody knows: [`Client::list_multiparts`] does.
    pub async fn create_multipart(&self, key: &str) -> Result<String, S3Error> {
        let request = Request::new(Method::POST, key)
            .query("uploads", "")
            .header("x-amz-checksum-algorithm", "CRC32C");
        let answer = self.http.call(request, Patience::WRITE).await.map_err(of_key)?;
        let begun: xml::Initiated = read(&answer)?;
        Ok(begun.upload_id)
    }

    /// Sends a part; one of that number is replaced.
    pub async fn upload_part(&self, key: &str, id: &str, number: u32, body: Bytes) -> Result<Part, S3Error> {
        let crc32c = crc32c::crc32c(&body);
        let request = Request::new(Method::PUT, key)
            .query("partNumber", number.to_string())
            .query("uploadId", id)
            .header("x-amz-checksum-crc32c", xml::checksum(crc32c))
            .body(body);
        let answer = self.http.call(request, Patience::WRITE).await.map_err(of_upload)?;
        match answer.header("etag") {
            Some(etag) => Ok(Part {
                etag: etag.to_owned(),
                crc32c,
            }),
            None => Err(S3Error::unreadable(answer.status, "a part without an ETag")),
        }
    }

    /// Puts the parts together, in the order of their numbers, which need not be without gaps. At least one.
    pub async fn complete(&self, key: &str, id: &str, parts: &[(u32, Part)]) -> Result<(), S3Error> {
        let request = Request::new(Method::POST, key)
            .query("uploadId", id)
            .header("content-type", "application/xml")
            .body(xml::complete(parts).into());
        let once = Patience::COMPLETE.once();
        let mut attempts = Attempts::new(Patience::COMPLETE);
        loop {
            let error = match self.http.call(request.clone(), once).await.map_err(of_upload) {
                // Success is said before the work is done; the document tells how it went.
                Ok(answer) => match xml::error(&answer.document) {
                    None => return Ok(()),
                    Some(_) => S3Error::of(hyper::StatusCode::INTERNAL_SERVER_ERROR, &answer.document),
                },
                // An attempt whose answer was lost may have done it, or be about it.
                Err(S3Error::NoSuchUpload) if attempts.repeated() => {
                    return match self.appears(key, Patience::COMPLETE.still()).await? {
                        Some(_) => Ok(()),
                        None => Err(S3Error::NoSuchUpload),
                    };
                }
                Err(error) => error,
            };
            attempts.another(error).await?;
        }
    }

    /// The bytes of an object whose upload is over, as soon as it is there: a store may end the upload before it has put the parts
    /// together, and goes on with that when whoever asked is gone. `None` when it is not there `within` this time.
    pub async fn appears(&self, key: &str, within: Duration) -> Result<Option<u64>, S3Error> {
        let until = Instant::now() + within;
        loop {
            let found = self.head(key).await?;
            if found.is_some() || Instant::now() >= until {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Throws an upload and its parts away. `false` when there is none. A part that is just being sent may be stored still: the
    /// upload is gone when this says `false`.
    pub async fn abort(&self, key: &str, id: &str) -> Result<bool, S3Error> {
        let request = Request::new(Method::DELETE, key).query("uploadId", id);
        match self.http.call(request, Patience::WRITE).await.map_err(of_upload) {
            Ok(_) => Ok(true),
            Err(S3Error::NoSuchUpload) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The parts that the store has of an upload, in the order of their numbers.
    pub async fn list_parts(&self, key: &str, id: &str) -> Result<Vec<StoredPart>, S3Error> {
        let (mut all, mut marker) = (Vec::new(), None::<String>);
        loop {
            let mut request = Request::new(Method::GET, key).query("uploadId", id);
            if let Some(marker) = marker {
                request = request.query("part-number-marker", marker);
            }
            let answer = self.http.call(request, Patience::READ).await.map_err(of_upload)?;
            let found: xml::Parts = read(&answer)?;
            all.extend(found.parts.into_iter().map(|part| StoredPart {
                number: part.part_number,
                bytes: part.size,
                etag: part.etag,
            }));
            marker = found.next_part_number_marker;
            if !found.is_truncated || marker.is_none() || all.len() > MAX_PARTS as usize {
                break;
            }
        }
        all.sort_by_key(|part| part.number);
        Ok(all)
    }
}

/// A plain 404 about an upload.
fn of_upload(error: S3Error) -> S3Error {
    if error == S3Error::Missing {
        S3Error::NoSuchUpload
    } else {
        error
    }
}

/// A plain 404 about a key that need not exist.
fn of_key(error: S3Error) -> S3Error {
    if error == S3Error::Missing {
        S3Error::NoBucket
    } else {
        error
    }
}
