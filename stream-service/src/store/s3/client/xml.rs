//! The documents of the protocol: what is read of them, and the one that is written.

use super::multipart::Part;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use std::fmt::Write;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Error {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Initiated {
    pub upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Objects {
    #[serde(default)]
    pub contents: Vec<Content>,
    #[serde(default)]
    pub common_prefixes: Vec<Prefix>,
    #[serde(default)]
    pub is_truncated: bool,
    pub next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Content {
    pub key: String,
    pub size: u64,
    pub last_modified: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Prefix {
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parts {
    #[serde(default, rename = "Part")]
    pub parts: Vec<ListedPart>,
    #[serde(default)]
    pub is_truncated: bool,
    pub next_part_number_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPart {
    pub part_number: u32,
    pub size: u64,
    #[serde(rename = "ETag", default)]
    pub etag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Uploads {
    #[serde(default, rename = "Upload")]
    pub uploads: Vec<ListedUpload>,
    #[serde(default)]
    pub is_truncated: bool,
    pub next_key_marker: Option<String>,
    pub next_upload_id_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedUpload {
    pub key: String,
    pub upload_id: String,
    pub initiated: String,
}

/// The document of an error; `None` when it is none.
pub fn error(document: &[u8]) -> Option<Error> {
    let text = std::str::from_utf8(document).ok()?;
    // Any document reads as one of optional elements: what is not named so is none.
    text.contains("<Error").then(|| read(document).ok()).flatten()
}

pub fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(document).map_err(|error| error.to_string())?;
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

/// Milliseconds since 1970 of `2009-10-12T17:50:30.000Z`.
pub fn milliseconds(text: &str) -> Result<i64, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis())
        .map_err(|error| format!("`{text}` is no time: {error}"))
}

/// The body of CompleteMultipartUpload.
pub fn complete(parts: &[(u32, Part)]) -> String {
    let mut text = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (number, part) in parts {
        let etag = quick_xml::escape::escape(&part.etag);
        let crc = checksum(part.crc32c);
        write!(
            text,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumCRC32C>{crc}</ChecksumCRC32C></Part>"
        )
        .expect("a String takes any text");
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

/// A CRC as the protocol writes it: the base64 of its four bytes, the most significant first.
pub fn checksum(crc: u32) -> String {
    STANDARD.encode(crc.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let page: Objects = read(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>\
            <Contents><Key>p/a&amp;b</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;x&quot;</ETag>\
            <Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>\
            <CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes>\
            <Contents><Key>p/c</Key><LastModified>2009-10-12T17:50:30Z</LastModified><Size>0</Size></Contents>\
            <NextContinuationToken>t=</NextContinuationToken></ListBucketResult>",
        )
        .unwrap();
        let keys: Vec<_> = page
            .contents
            .iter()
            .map(|object| (object.key.as_str(), object.size))
            .collect();
        assert_eq!(keys, [("p/a&b", 434_234), ("p/c", 0)]);
        assert_eq!(milliseconds(&page.contents[0].last_modified), Ok(1_255_369_830_000));
        assert_eq!(page.common_prefixes[0].prefix, "p/q/");
        assert_eq!(
            (page.is_truncated, page.next_continuation_token.as_deref()),
            (true, Some("t="))
        );
        let empty: Objects = read(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>").unwrap();
        assert!(empty.contents.is_empty() && !empty.is_truncated);
    }

    #[test]
    fn what_is_no_error_document_is_none() {
        assert!(error(b"").is_none() && error(b"<html></html>").is_none() && error(b"<Error").is_none());
        assert!(error(b"\xff<Error/>").is_none());
        let found =
            error(b"<Error><Code>A</Code><Unknown><Deep/></Unknown><Message>m &lt; n</Message></Error>").unwrap();
        assert_eq!((found.code.as_str(), found.message.as_str()), ("A", "m < n"));
    }

    #[test]
    fn parts_are_named_with_etag_and_checksum() {
        let part = Part {
            etag: "\"a<\"".into(),
            crc32c: crc32c::crc32c(b"123456789"),
        };
        let text = complete(&[(3, part)]);
        assert!(
            text.contains("<PartNumber>3</PartNumber><ETag>&quot;a&lt;&quot;</ETag>"),
            "{text}"
        );
        // The check value of CRC-32C (E3069283), as RFC 3720 has it.
        assert!(text.contains("<ChecksumCRC32C>4waSgw==</ChecksumCRC32C>"), "{text}");
    }
}
