//! The framing of `multipart/byteranges` (RFC 9110 section 14.6): heads between the parts and the closing line. The length
//! of the whole body is known before the first byte, so the answer carries Content-Length and keeps its connection.

use super::ByteRange;

/// Framing for some ranges of one representation.
#[derive(Clone, Debug)]
pub struct Multipart {
    boundary: String,
    parts: Vec<(String, ByteRange)>,
}

impl Multipart {
    /// `boundary` must be unguessable for whoever made the file, so that no content can look like the end of a part: 1 to 70
    /// characters of RFC 2046's `bchars`, in practice a random id.
    pub fn new(ranges: &[ByteRange], size: u64, mime: &str, boundary: String) -> Self {
        let parts = ranges
            .iter()
            .map(|range| {
                let content_range = range.content_range(size);
                let head =
                    format!("\r\n--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: {content_range}\r\n\r\n");
                (head, *range)
            })
            .collect();
        Self { boundary, parts }
    }

    pub fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Each part's head (delimiter, header fields, empty line) with the bytes that follow it.
    pub fn parts(&self) -> &[(String, ByteRange)] {
        &self.parts
    }

    /// What follows the last part.
    pub fn tail(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// Bytes of the whole body.
    pub fn content_length(&self) -> u64 {
        let parts: u64 = self
            .parts
            .iter()
            .map(|(head, range)| head.len() as u64 + range.len())
            .sum();
        parts + self.tail().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_length_is_the_length_of_the_body() {
        let ranges = [ByteRange { start: 0, end: 3 }, ByteRange { start: 5, end: 7 }];
        let framing = Multipart::new(&ranges, 10, "video/mp4", "b0undary".to_owned());
        let data = b"0123456789";
        let mut body = Vec::new();
        for (head, range) in framing.parts() {
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&data[range.start as usize..range.end as usize]);
        }
        body.extend_from_slice(framing.tail().as_bytes());
        assert_eq!(body.len() as u64, framing.content_length());
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "\r\n--b0undary\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-2/10\r\n\r\n012\
             \r\n--b0undary\r\nContent-Type: video/mp4\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--b0undary--\r\n"
        );
        assert_eq!(framing.content_type(), "multipart/byteranges; boundary=b0undary");
    }
}
