//! One request of the protocol, and its address with a signature in it.

use super::settings::Settings;
use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use std::fmt::Write;
use url::Url;

/// How long a signature counts, in seconds: connecting and waiting for room included, and a clock that is a little wrong.
const SIGNED_FOR: u64 = 900;

/// Cheap to clone: sent again with a new signature when it is repeated.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Empty for a request about the bucket.
    pub key: String,
    /// Sorted by name.
    pub query: Vec<(&'static str, String)>,
    /// Sorted by name, names in lower case; all are signed.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn new(method: Method, key: impl Into<String>) -> Self {
        Self {
            method,
            key: key.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self.query.sort();
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self.headers.sort();
        self
    }

    pub fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// The address with the signature of this moment. (AWS Signature Version 4, "Authenticating Requests: Using Query Parameters".)
    pub fn signed(&self, settings: &Settings, now: Timestamp) -> Result<Url, url::ParseError> {
        Ok(rusty_s3::signing::sign(
            &now,
            method(&self.method),
            self.address(settings)?,
            &settings.access_key,
            settings.secret_key.expose(),
            None,
            &settings.region,
            SIGNED_FOR,
            self.query.iter().map(|(name, value)| (*name, value.as_str())),
            self.headers.iter().map(|(name, value)| (*name, value.as_str())),
        ))
    }

    /// The address without a signature.
    pub fn address(&self, settings: &Settings) -> Result<Url, url::ParseError> {
        let endpoint = &settings.endpoint;
        let host = endpoint.host_str().unwrap_or_default();
        let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        let (bucket, key) = (&settings.bucket, escaped(&self.key));
        let scheme = endpoint.scheme();
        Url::parse(&match settings.path_style {
            true => format!("{scheme}://{host}{port}/{bucket}/{key}"),
            false => format!("{scheme}://{bucket}.{host}{port}/{key}"),
        })
    }
}

fn method(method: &Method) -> rusty_s3::Method {
    match *method {
        Method::HEAD => rusty_s3::Method::Head,
        Method::PUT => rusty_s3::Method::Put,
        Method::POST => rusty_s3::Method::Post,
        Method::DELETE => rusty_s3::Method::Delete,
        _ => rusty_s3::Method::Get,
    }
}

/// A key as the path of an address: what RFC 3986 calls unreserved, and the slashes, stay as they are.
fn escaped(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(byte.into()),
            _ => write!(path, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::Secret;

    fn settings(endpoint: &str, path_style: bool) -> Settings {
        Settings {
            endpoint: endpoint.parse().unwrap(),
            bucket: "examplebucket".into(),
            region: "us-east-1".into(),
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: Secret::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            path_style,
            ca_file: None,
        }
    }

    fn may_2013() -> Timestamp {
        "2013-05-24T00:00:00Z".parse().unwrap()
    }

    fn signature(url: &Url) -> String {
        let found = url.query_pairs().find(|(name, _)| name == "X-Amz-Signature");
        found.unwrap().1.into_owned()
    }

    /// The signature as OpenSSL and AWS's description of it make it, of a canonical request written down by hand.
    fn by_hand(canonical: &str) -> String {
        use hmac::{Hmac, KeyInit, Mac};
        use sha2::{Digest, Sha256};
        let mac = |key: &[u8], text: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = format!(
            "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let key = mac(b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524");
        let key = mac(&mac(&mac(&key, "us-east-1"), "s3"), "aws4_request");
        hex(&mac(&key, &text))
    }

    /// AWS's published example is signed for a day.
    #[test]
    fn the_published_example_of_a_presigned_get() {
        let canonical = "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F\
            us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\n\
            host:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD";
        let published = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(by_hand(canonical), published);
        // Ours is the same but for the time it counts.
        let url = Request::new(Method::GET, "test.txt")
            .signed(&settings("https://s3.amazonaws.com", false), may_2013())
            .unwrap();
        assert_eq!(url.host_str(), Some("examplebucket.s3.amazonaws.com"));
        let ours = canonical.replace("Expires=86400", "Expires=900");
        assert_eq!(signature(&url), by_hand(&ours));
    }

    #[test]
    fn headers_queries_and_keys_are_signed_as_they_are_sent() {
        let request = Request::new(Method::PUT, "a b/ü+~.mp4")
            .query("uploadId", "x/y=")
            .query("partNumber", "7")
            .header("x-amz-checksum-crc32c", "yZRlqg==")
            .header("if-match", "\"e\"");
        let url = request
            .signed(&settings("http://localhost:3900", true), may_2013())
            .unwrap();
        assert_eq!(url.path(), "/examplebucket/a%20b/%C3%BC%2B~.mp4");
        let canonical = "PUT\n/examplebucket/a%20b/%C3%BC%2B~.mp4\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
            AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=900&\
            X-Amz-SignedHeaders=host%3Bif-match%3Bx-amz-checksum-crc32c&partNumber=7&uploadId=x%2Fy%3D\n\
            host:localhost:3900\nif-match:\"e\"\nx-amz-checksum-crc32c:yZRlqg==\n\nhost;if-match;x-amz-checksum-crc32c\n\
            UNSIGNED-PAYLOAD";
        assert_eq!(signature(&url), by_hand(canonical));
    }
}
