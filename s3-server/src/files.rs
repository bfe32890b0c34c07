//! The folder: one of each bucket, with a file of each object, named by its escaped key; unfinished uploads and files that are
//! being written beside them.

use futures_util::StreamExt;
use s3s::{
    S3Error, S3Result, TrailingHeaders,
    checksum::ChecksumHasher,
    dto::{Checksum, ETag, StreamingBlob},
    s3_error,
};
use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tokio::{io::AsyncWriteExt, sync::Mutex};

/// Longest escaped key: file systems take names of 255 bytes.
const MAX_NAME: usize = 255;

/// A buffer in front of each file that is written.
const BUFFER: usize = 256 << 10;

pub struct Files {
    root: PathBuf,
    /// Held where names change by more than one step.
    pub turn: Mutex<()>,
}

/// A file that is written and has no name yet; gone when it gets none.
pub struct Received {
    path: PathBuf,
    pub size: u64,
    pub checksum: Checksum,
}

/// What a client said about the bytes it sends.
pub struct Said {
    pub size: Option<i64>,
    pub checksum: Checksum,
    pub trailers: Option<TrailingHeaders>,
}

impl Files {
    pub fn open(root: &Path, buckets: &[String]) -> io::Result<Self> {
        for name in buckets.iter().map(String::as_str).chain([".uploads", ".new"]) {
            std::fs::create_dir_all(root.join(name))?;
        }
        Ok(Self {
            root: root.canonicalize()?,
            turn: Mutex::new(()),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files of a bucket are. (s3s lets no name through that is none of a bucket.)
    pub fn bucket(&self, name: &str) -> S3Result<PathBuf> {
        let path = self.root.join(name);
        match path.is_dir() {
            true => Ok(path),
            false => Err(s3_error!(NoSuchBucket, "There is no bucket of this name.")),
        }
    }

    pub fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let name = escaped(key);
        if name.len() > MAX_NAME {
            return Err(s3_error!(
                KeyTooLongError,
                "Keys have at most {MAX_NAME} bytes here, escaped."
            ));
        }
        Ok(self.bucket(bucket)?.join(name))
    }

    /// Where an unfinished upload is, whether there is one or not. Its id is no path.
    pub fn upload(&self, id: &str) -> S3Result<PathBuf> {
        match uuid::Uuid::parse_str(id) {
            Ok(id) => Ok(self.root.join(".uploads").join(id.simple().to_string())),
            Err(_) => Err(s3_error!(NoSuchUpload, "There is no such upload.")),
        }
    }

    /// Writes a body to a new file, and checks what was said about it.
    pub async fn receive(&self, body: Option<StreamingBlob>, mut said: Said) -> S3Result<Received> {
        let path = self.root.join(".new").join(uuid::Uuid::new_v4().simple().to_string());
        let mut received = Received {
            path,
            size: 0,
            checksum: Checksum::default(),
        };
        let file = tokio::fs::File::create(&received.path).await.map_err(failed)?;
        let mut file = tokio::io::BufWriter::with_capacity(BUFFER, file);
        let mut sums = ChecksumHasher {
            crc32c: Some(Default::default()),
            // Trailers are only known at the end; it is the common one of newer clients.
            crc32: (said.checksum.checksum_crc32.is_some() || said.trailers.is_some()).then(Default::default),
            sha256: said.checksum.checksum_sha256.is_some().then(Default::default),
            ..Default::default()
        };
        let mut body = body.ok_or_else(|| s3_error!(IncompleteBody, "There is no body."))?;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
            sums.update(&piece);
            received.size += piece.len() as u64;
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        received.checksum = sums.finalize();
        trailers(&mut said);
        if said.size.is_some_and(|size| u64::try_from(size) != Ok(received.size)) {
            return Err(s3_error!(IncompleteBody, "The body is shorter than its length."));
        }
        let (is, said) = (&received.checksum, &said.checksum);
        for (said, is) in [
            (&said.checksum_crc32c, &is.checksum_crc32c),
            (&said.checksum_crc32, &is.checksum_crc32),
            (&said.checksum_sha256, &is.checksum_sha256),
        ] {
            if said.is_some() && said != is {
                return Err(s3_error!(BadDigest, "The checksum is not that of the body."));
            }
        }
        Ok(received)
    }
}

fn trailers(said: &mut Said) {
    let Some(trailers) = said.trailers.as_ref().and_then(TrailingHeaders::take) else {
        return;
    };
    let text = |name: &str| {
        trailers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    for (name, field) in [
        ("x-amz-checksum-crc32c", &mut said.checksum.checksum_crc32c),
        ("x-amz-checksum-crc32", &mut said.checksum.checksum_crc32),
    ] {
        if let Some(value) = text(name) {
            *field = Some(value);
        }
    }
}

impl Received {
    /// Gives it its name; what had that is replaced.
    pub fn publish(self, name: &Path) -> S3Result<()> {
        std::fs::rename(&self.path, name).map_err(failed)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // Not there any more once it has its name.
        std::fs::remove_file(&self.path).ok();
    }
}

/// Names this very content: another file has another inode or another time.
pub fn etag(metadata: &Metadata) -> ETag {
    ETag::Strong(format!(
        "{:x}-{:x}{:09x}-{:x}",
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size()
    ))
}

/// A failure of the disk.
pub fn failed(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let mut full = s3_error!(InternalError, "The disk is full.");
            full.set_status_code(hyper::StatusCode::INSUFFICIENT_STORAGE);
            full
        }
        _ => s3_error!(InternalError, "{error}"),
    }
}

/// A key as a name of a file, which it can be made of again.
fn escaped(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut name = String::with_capacity(key.len() + 8);
    for (at, byte) in key.bytes().enumerate() {
        // No name begins with a dot: neither `.` nor `..` nor something hidden.
        if plain(byte) && !(at == 0 && byte == b'.') {
            name.push(byte.into());
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// The key of a file; `None` when it is none of ours.
pub fn key_of(name: &str) -> Option<String> {
    let (mut key, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            key.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            key.push(byte);
        }
    }
    String::from_utf8(key).ok()
}
