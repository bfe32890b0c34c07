//! Multipart uploads: a folder each, with a file of what it is for and one of each part, `NUMBER.ETAG.CRC`.

use crate::files::{Files, Said, etag, failed};
use s3s::{S3Request, S3Response, S3Result, dto::*, s3_error};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Least bytes of every part but the last.
const MIN_PART: u64 = 5 << 20;

const MAX_NUMBER: i32 = 10_000;

/// Parts and uploads of a page, at most.
const PAGE: usize = 1000;

const ABOUT: &str = "about";

#[derive(serde::Serialize, serde::Deserialize)]
struct About {
    bucket: String,
    key: String,
}

/// A part that is there.
struct Kept {
    number: i32,
    etag: String,
    /// Base64, with `_` for `/`: it stands in a name.
    crc: String,
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
}

fn no_upload() -> s3s::S3Error {
    s3_error!(NoSuchUpload, "There is no such upload.")
}

impl Files {
    pub fn begin(&self, input: CreateMultipartUploadInput) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.object(&input.bucket, &input.key)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let folder = self.upload(&id)?;
        let about = About {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
        };
        let about = serde_json::to_vec(&about).map_err(|error| s3_error!(InternalError, "{error}"))?;
        std::fs::create_dir(&folder).map_err(failed)?;
        std::fs::write(folder.join(ABOUT), about).map_err(failed)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            ..Default::default()
        }))
    }

    /// The folder of an upload of this very key.
    fn known(&self, bucket: &str, key: &str, id: &str) -> S3Result<PathBuf> {
        self.bucket(bucket)?;
        let folder = self.upload(id)?;
        match about(&folder) {
            Some(about) if about.bucket == bucket && about.key == key => Ok(folder),
            _ => Err(no_upload()),
        }
    }

    pub async fn part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        if !(1..=MAX_NUMBER).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "Part numbers are 1 to {MAX_NUMBER}."));
        }
        let folder = self.known(&input.bucket, &input.key, &input.upload_id)?;
        let said = Said {
            size: input.content_length,
            checksum: Checksum {
                checksum_crc32: input.checksum_crc32,
                checksum_crc32c: input.checksum_crc32c,
                checksum_sha256: input.checksum_sha256,
                ..Default::default()
            },
            trailers: request.trailing_headers,
        };
        let received = self.receive(input.body, said).await?;
        let crc = received.checksum.checksum_crc32c.clone().unwrap_or_default();
        let escaped = crc.replace('/', "_");
        // Of its bytes, as most stores have it: who sends a part again, or two who send the same one, get the same.
        let tag = format!("{:x}-{escaped}", received.size);
        let name = format!("{}.{tag}.{escaped}", input.part_number);
        let _turn = self.turn.lock().await;
        // Aborted or completed meanwhile?
        self.known(&input.bucket, &input.key, &input.upload_id)?;
        for old in kept(&folder)?
            .into_iter()
            .filter(|part| part.number == input.part_number)
        {
            std::fs::remove_file(old.path).map_err(failed)?;
        }
        received.publish(&folder.join(name))?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(tag)),
            checksum_crc32c: Some(crc),
            ..Default::default()
        }))
    }

    pub fn parts(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let folder = self.known(&input.bucket, &input.key, &input.upload_id)?;
        let after = input.part_number_marker.unwrap_or_default();
        let mut found = kept(&folder)?;
        found.retain(|part| part.number > after);
        let truncated = found.len() > PAGE;
        found.truncate(PAGE);
        let next = found.last().filter(|_| truncated).map(|part| part.number);
        let parts = found.into_iter().map(|part| Part {
            part_number: Some(part.number),
            size: i64::try_from(part.size).ok(),
            e_tag: Some(ETag::Strong(part.etag)),
            checksum_crc32c: Some(part.crc.replace('_', "/")),
            last_modified: part.modified.map(Timestamp::from),
            ..Default::default()
        });
        Ok(S3Response::new(ListPartsOutput {
            parts: Some(parts.collect()),
            is_truncated: Some(truncated),
            next_part_number_marker: next,
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..Default::default()
        }))
    }

    pub fn uploads(&self, input: ListMultipartUploadsInput) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input
            .key_marker
            .map(|key| (key, input.upload_id_marker.unwrap_or_default()));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root().join(".uploads")).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (folder, id) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            // It may be over just now.
            let Some(about) = about(&folder).filter(|about| about.bucket == input.bucket) else {
                continue;
            };
            let initiated = folder.join(ABOUT).metadata().and_then(|metadata| metadata.modified());
            let named = (about.key, id);
            // An upload marker without a value is behind every id of its key.
            let listed = after.as_ref().is_none_or(|(key, id)| match id.is_empty() {
                true => named.0 > *key,
                false => (&named.0, &named.1) > (key, id),
            });
            if named.0.starts_with(&prefix) && listed {
                found.push((named, initiated.ok()));
            }
        }
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let most = input
            .max_uploads
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(PAGE)
            .clamp(1, PAGE);
        let truncated = found.len() > most;
        found.truncate(most);
        let next = found.last().filter(|_| truncated).map(|(named, _)| named.clone());
        let (next_key_marker, next_upload_id_marker) = next.unzip();
        let uploads = found.into_iter().map(|((key, id), initiated)| MultipartUpload {
            key: Some(key),
            upload_id: Some(id),
            initiated: initiated.map(Timestamp::from),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            is_truncated: Some(truncated),
            next_key_marker,
            next_upload_id_marker,
            bucket: Some(input.bucket),
            prefix: input.prefix,
            ..Default::default()
        }))
    }

    pub async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let turn = self.turn.lock().await;
        let folder = self.known(&input.bucket, &input.key, &input.upload_id)?;
        let path = self.object(&input.bucket, &input.key)?;
        let wanted = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let parts = chosen(kept(&folder)?, &wanted)?;
        // From here on the upload is over: taken away from those who would add parts, before the long work.
        let over = self.root().join(".new").join(uuid::Uuid::new_v4().simple().to_string());
        std::fs::rename(&folder, &over).map_err(failed)?;
        drop(turn);
        let (whole, moved) = (path.clone(), over.clone());
        let done = tokio::task::spawn_blocking(move || join(&moved, &parts, &whole)).await;
        done.map_err(|error| s3_error!(InternalError, "{error}"))?
            .map_err(failed)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            e_tag: Some(etag(&path.metadata().map_err(failed)?)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            ..Default::default()
        }))
    }

    pub async fn abort(&self, input: AbortMultipartUploadInput) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let _turn = self.turn.lock().await;
        let folder = self.known(&input.bucket, &input.key, &input.upload_id)?;
        std::fs::remove_dir_all(folder).map_err(failed)?;
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }
}

fn about(folder: &Path) -> Option<About> {
    serde_json::from_slice(&std::fs::read(folder.join(ABOUT)).ok()?).ok()
}

/// The parts that are there, in their order.
fn kept(folder: &Path) -> S3Result<Vec<Kept>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut fields = name.split('.');
        let (Some(number), Some(etag), Some(crc)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        // A part may be replaced just now.
        let (Ok(number), Ok(metadata)) = (number.parse(), entry.metadata()) else {
            continue;
        };
        parts.push(Kept {
            number,
            etag: etag.to_owned(),
            crc: crc.to_owned(),
            path: entry.path(),
            size: metadata.len(),
            modified: metadata.modified().ok(),
        });
    }
    parts.sort_unstable_by_key(|part| part.number);
    Ok(parts)
}

/// Names of the parts that are to be put together, if they are what the client says.
fn chosen(mut kept: Vec<Kept>, wanted: &[CompletedPart]) -> S3Result<Vec<String>> {
    let (mut names, mut last, mut small) = (Vec::new(), 0, false);
    for wanted in wanted {
        let number = wanted.part_number.unwrap_or_default();
        if number <= last {
            return Err(s3_error!(
                InvalidPartOrder,
                "Parts are named in the order of their numbers."
            ));
        }
        last = number;
        // Only the last may be small.
        if small {
            return Err(s3_error!(EntityTooSmall, "A part that is not the last is too small."));
        }
        let position = kept.iter().position(|part| part.number == number);
        let part = position.map(|at| kept.swap_remove(at));
        let same = |part: &Kept| {
            let crc = part.crc.replace('_', "/");
            wanted.e_tag.as_ref().is_some_and(|tag| tag.value() == part.etag)
                && wanted.checksum_crc32c.as_ref().is_none_or(|said| *said == crc)
        };
        let Some(part) = part.filter(same) else {
            return Err(s3_error!(InvalidPart, "Part {number} is not there, or is another."));
        };
        small = part.size < MIN_PART;
        names.extend(part.path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    match names.is_empty() {
        true => Err(s3_error!(MalformedXML, "No part is named.")),
        false => Ok(names),
    }
}

/// Puts the parts behind the first, and gives that the name.
fn join(folder: &Path, names: &[String], whole: &Path) -> io::Result<()> {
    let Some((first, others)) = names.split_first() else {
        return Ok(());
    };
    let first = folder.join(first);
    let mut joined = File::options().append(true).open(&first)?;
    for name in others {
        let path = folder.join(name);
        io::copy(&mut File::open(&path)?, &mut joined)?;
        std::fs::remove_file(path)?;
    }
    drop(joined);
    std::fs::rename(first, whole)?;
    std::fs::remove_dir_all(folder)
}
