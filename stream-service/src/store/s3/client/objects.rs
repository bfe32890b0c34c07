//! Whole objects.

use super::{Client, error::S3Error, patience::Patience, request::Request, xml::checksum};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::Method;

/// Deletions under way at once, of one call.
const DELETIONS: usize = 8;

impl Client {
    /// Stores an object of some megabytes at most; one of that key is replaced. Whole or not at all.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), S3Error> {
        let request = Request::new(Method::PUT, key)
            .header("x-amz-checksum-crc32c", checksum(crc32c::crc32c(&body)))
            .body(body);
        self.http.call(request, Patience::WRITE).await.map(drop)
    }

    /// Bytes of an object; `None` when there is none.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, S3Error> {
        match self.http.call(Request::new(Method::HEAD, key), Patience::READ).await {
            Ok(answer) => {
                let size = answer.header("content-length").and_then(|text| text.parse().ok());
                let unsized_ = || S3Error::unreadable(answer.status, "an object without a size");
                size.map(Some).ok_or_else(unsized_)
            }
            Err(S3Error::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes an object; nothing when there is none.
    pub async fn delete(&self, key: &str) -> Result<(), S3Error> {
        match self.http.call(Request::new(Method::DELETE, key), Patience::WRITE).await {
            Ok(_) | Err(S3Error::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes objects, several at once. (Each by itself: what DeleteObjects wants for a checksum differs between the stores.)
    /// After an error some may be gone and others not.
    pub async fn delete_all(&self, keys: &[String]) -> Result<(), S3Error> {
        stream::iter(keys.iter().map(|key| self.delete(key)))
            .buffer_unordered(DELETIONS)
            .try_collect()
            .await
    }
}
