//! The operations of the protocol: whole objects and lists here, multipart uploads in [`crate::multipart`].

use crate::files::{Files, Said, etag, failed, key_of};
use s3s::{S3, S3Request, S3Response, S3Result, dto::*, s3_error};
use std::{collections::BTreeMap, io, path::Path};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// Bytes read of a file at once.
const PIECE: usize = 256 << 10;

/// Objects and prefixes of a page, at most.
const PAGE: i32 = 1000;

#[async_trait::async_trait]
impl S3 for Files {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        match std::fs::create_dir(self.root().join(&request.input.bucket)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(s3_error!(BucketAlreadyOwnedByYou)),
            Err(error) => Err(failed(error)),
            Ok(()) => Ok(S3Response::new(CreateBucketOutput::default())),
        }
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut buckets = Vec::new();
        for entry in std::fs::read_dir(self.root()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                buckets.push(Bucket {
                    name: Some(name),
                    ..Default::default()
                });
            }
        }
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            ..Default::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let path = self.object(&input.bucket, &input.key)?;
        if input.if_none_match.as_ref().is_some_and(ETagCondition::is_any) && path.exists() {
            return Err(s3_error!(PreconditionFailed, "There is an object of this key."));
        }
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
        let checksum_crc32c = received.checksum.checksum_crc32c.clone();
        received.publish(&path)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&path.metadata().map_err(failed)?)),
            checksum_crc32c,
            ..Default::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let path = self.object(&input.bucket, &input.key)?;
        let mut file = tokio::fs::File::open(&path).await.map_err(no_key)?;
        let metadata = file.metadata().await.map_err(failed)?;
        let (tag, size) = (etag(&metadata), metadata.len());
        if let Some(ETagCondition::ETag(wanted)) = &input.if_match
            && !wanted.strong_cmp(&tag)
        {
            return Err(s3_error!(PreconditionFailed, "The object is another one."));
        }
        let (range, content_range) = match input.range {
            None => (0..size, None),
            Some(range) => {
                let range = range.check(size)?;
                let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                (range, Some(text))
            }
        };
        file.seek(io::SeekFrom::Start(range.start)).await.map_err(failed)?;
        let length = range.end - range.start;
        let body = ReaderStream::with_capacity(file.take(length), PIECE);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            content_length: i64::try_from(length).ok(),
            content_range,
            accept_ranges: Some("bytes".into()),
            last_modified: metadata.modified().ok().map(Timestamp::from),
            e_tag: Some(tag),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let path = self.object(&request.input.bucket, &request.input.key)?;
        let metadata = path.metadata().map_err(no_key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(metadata.len()).ok(),
            accept_ranges: Some("bytes".into()),
            last_modified: metadata.modified().ok().map(Timestamp::from),
            e_tag: Some(etag(&metadata)),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        remove(&self.object(&request.input.bucket, &request.input.key)?)?;
        Ok(S3Response::with_status(
            DeleteObjectOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut deleted = Vec::new();
        for object in request.input.delete.objects {
            remove(&self.object(&request.input.bucket, &object.key)?)?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
        let most = input.max_keys.unwrap_or(PAGE).clamp(0, PAGE);
        let after = input.continuation_token.clone().or(input.start_after.clone());
        // What is listed, by its name: an object, or what several have in common.
        let mut found: BTreeMap<String, Option<Object>> = BTreeMap::new();
        for entry in std::fs::read_dir(self.bucket(&input.bucket)?).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(key) = entry.file_name().to_str().and_then(key_of) else {
                continue;
            };
            let Some(rest) = key.strip_prefix(&prefix) else {
                continue;
            };
            let grouped = rest.find(&delimiter).filter(|_| !delimiter.is_empty());
            if let Some(at) = grouped {
                found.insert(format!("{prefix}{}", &rest[..at + delimiter.len()]), None);
                continue;
            }
            // It may be deleted just now.
            let Ok(metadata) = entry.metadata() else { continue };
            let object = Object {
                key: Some(key.clone()),
                size: i64::try_from(metadata.len()).ok(),
                last_modified: metadata.modified().ok().map(Timestamp::from),
                e_tag: Some(etag(&metadata)),
                ..Default::default()
            };
            found.insert(key, Some(object));
        }
        if let Some(after) = &after {
            found.retain(|name, _| name > after);
        }
        let most = usize::try_from(most).unwrap_or_default();
        let truncated = found.len() > most;
        let page: Vec<_> = found.into_iter().take(most).collect();
        let next = page.last().filter(|_| truncated).map(|(name, _)| name.clone());
        let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
        for (name, object) in page {
            match object {
                Some(object) => contents.push(object),
                None => prefixes.push(CommonPrefix { prefix: Some(name) }),
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            is_truncated: Some(truncated),
            next_continuation_token: next,
            name: Some(input.bucket),
            prefix: Some(prefix),
            max_keys: i32::try_from(most).ok(),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin(request.input)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.part(request).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.parts(request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.uploads(request.input)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete(request.input).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort(request.input).await
    }
}

fn no_key(error: io::Error) -> s3s::S3Error {
    match error.kind() {
        io::ErrorKind::NotFound => s3_error!(NoSuchKey, "There is no such object."),
        _ => failed(error),
    }
}

fn remove(path: &Path) -> S3Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}
