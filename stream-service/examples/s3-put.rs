//! Uploads a file by the S3 client alone: parts of 8 MiB, four at once, put together at the end. The bench compares uploads
//! through the service with it.
//!
//! `s3-put ENDPOINT REGION BUCKET KEY FILE`, with the credentials in `S3_ACCESS_KEY` and `S3_SECRET_KEY`.

use bytes::Bytes;
use common::config::Secret;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{error::Error, fs::File, os::unix::fs::FileExt};
use stream_service::store::s3::client::{Client, Settings};

const PART: u64 = 8 << 20;
const AT_ONCE: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, region, bucket, key, file] = arguments.as_slice() else {
        return Err("usage: s3-put ENDPOINT REGION BUCKET KEY FILE".into());
    };
    let client = Client::new(Settings {
        endpoint: endpoint.parse()?,
        bucket: bucket.clone(),
        region: region.clone(),
        access_key: std::env::var("S3_ACCESS_KEY")?,
        secret_key: Secret::from(std::env::var("S3_SECRET_KEY")?),
        path_style: true,
        ca_file: None,
    })?;
    let file = File::open(file)?;
    let size = file.metadata()?.len();
    client.wait(put(&client, key, &file, size))
}

async fn put(client: &Client, key: &str, file: &File, size: u64) -> Result<(), Box<dyn Error>> {
    let id = client.create_multipart(key).await?;
    let numbers = 1..=u32::try_from(size.div_ceil(PART))?;
    let parts = stream::iter(numbers.map(|number| {
        let id = &id;
        async move {
            let from = u64::from(number - 1) * PART;
            let length = usize::try_from(PART.min(size - from))?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, from)?;
            let part = client.upload_part(key, id, number, Bytes::from(bytes)).await?;
            Ok::<_, Box<dyn Error>>((number, part))
        }
    }));
    let parts: Vec<_> = parts.buffered(AT_ONCE).try_collect().await?;
    client.complete(key, &id, &parts).await?;
    Ok(())
}
